from __future__ import annotations

import pickle

from hmr_light.errors import UserError, did_you_mean


def test_the_nearest_choice_is_named_and_else_all_of_them() -> None:
    assert did_you_mean("moblenet_v2", ["resnet50", "mobilenet_v2"]) == "Did you mean 'mobilenet_v2'?"
    assert did_you_mean("xyz", ["b", "a"]) == "Choose one of: a, b."
    assert did_you_mean("xyz", []) == ""


def test_a_user_error_survives_the_way_from_a_loader_process() -> None:
    error = pickle.loads(pickle.dumps(UserError("what", "remedy")))
    assert (error.message, error.remedy) == ("what", "remedy")
