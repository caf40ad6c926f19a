// Where a scene is seen from: turned by mouse, touch and keyboard.

export const SIDES = { front: [0, 0], side: [Math.PI / 2, 0], back: [Math.PI, 0], above: [0, Math.PI / 2] };
const [TURN, KEY_TURN, KEY_ZOOM] = [0.01, Math.PI / 18, 1.15]; // radians a pixel; radians and times a key

/** {yaw, pitch, zoom}, which change as the user moves over `element`; `onChange` is called then. */
export function orbit(element, onChange) {
  const [yaw, pitch] = [Math.PI / 3, 0.15];
  const view = { yaw, pitch, zoom: 1 };
  const fingers = new Map();
  const turn = (x, y) => {
    view.yaw -= x;
    view.pitch = Math.min(Math.max(view.pitch + y, -Math.PI / 2), Math.PI / 2);
    onChange();
  };
  const zoom = (times) => {
    view.zoom = Math.min(Math.max(view.zoom * times, 0.5), 8);
    onChange();
  };
  const spread = () => {
    const [one, other] = [...fingers.values()];
    return Math.hypot(one.x - other.x, one.y - other.y);
  };
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  element.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const before = fingers.size === 2 ? spread() : 0;
    const [x, y] = [event.clientX - last.x, event.clientY - last.y];
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (before) zoom(spread() / before);
    else turn(TURN * x, TURN * y);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    element.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-0.001 * event.deltaY));
  }, { passive: false });
  element.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => turn(-KEY_TURN, 0),
      ArrowRight: () => turn(KEY_TURN, 0),
      ArrowUp: () => turn(0, -KEY_TURN),
      ArrowDown: () => turn(0, KEY_TURN),
      "+": () => zoom(KEY_ZOOM),
      "=": () => zoom(KEY_ZOOM),
      "-": () => zoom(1 / KEY_ZOOM),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  return view;
}
