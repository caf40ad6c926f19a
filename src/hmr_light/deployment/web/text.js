// The words of the page.

const WORDS = {
  en: {
    title: "People in 3D",
    subtitle: "Finds the people in a photograph, a video or the camera, and shows their bodies from any side.",
    private: "Nothing leaves this device: pictures are computed in this browser, and the page cannot send them anywhere.",
    file: "Photo or video",
    camera: "Camera",
    stopCamera: "Stop the camera",
    example: "Example",
    pause: "Pause",
    play: "Play",
    opacity: "Body over the picture",
    front: "Front",
    side: "Side",
    back: "Back",
    above: "Above",
    picture: "Picture",
    anySide: "From any side",
    pictureLabel: "The picture with the bodies drawn over it",
    sideLabel: "The bodies in 3D. Arrow keys turn them, plus and minus change the size.",
    turnHint: "Drag to turn, pinch or scroll for the size. With keys: arrows, + and −.",
    drop: "Choose a photo or a video, or drop one here.",
    glb: "Bodies (GLB)",
    json: "Numbers (JSON)",
    loading: "Loading the networks …",
    ready: "Ready.",
    working: "Looking …",
    one: "1 person found.",
    many: "{} people found.",
    nobody: "Nobody was found in this picture. Try one in which a person is larger, or seen whole.",
    noImage: "This file cannot be read as an image or a video: {}",
    noCamera: "The camera cannot be used: {}",
    noHttps: "Browsers allow the camera only on pages that come by HTTPS, or from this device itself.",
    noNetwork: "The networks cannot be loaded: {}",
    noRuntime: "ONNX Runtime Web is missing. The folder onnxruntime/ beside this page must hold the files that README.txt names.",
    noWebgl: "This browser has no WebGL, so nothing can be drawn. The numbers can be downloaded.",
    find: "Finding people",
    network: "Bodies",
    draw: "Drawing",
    rate: "Frames a second",
    people: "People",
    compute: "Computes on",
    gpu: "GPU (WebGPU)",
    cpu: "CPU (WebAssembly)",
    threads: "threads: {}",
    model: "Network",
    language: "한국어",
  },
  ko: {
    title: "3D로 보는 사람",
    subtitle: "사진, 동영상, 카메라에서 사람을 찾아 몸을 모든 방향에서 보여 줍니다.",
    private: "아무것도 이 기기를 떠나지 않습니다. 모든 계산은 이 브라우저에서 하며, 이 페이지는 사진을 어디로도 보낼 수 없습니다.",
    file: "사진 또는 동영상",
    camera: "카메라",
    stopCamera: "카메라 끄기",
    example: "예시",
    pause: "일시 정지",
    play: "재생",
    opacity: "사진 위의 몸",
    front: "앞",
    side: "옆",
    back: "뒤",
    above: "위",
    picture: "사진",
    anySide: "여러 방향에서",
    pictureLabel: "몸을 겹쳐 그린 사진",
    sideLabel: "3D 몸. 화살표 키로 돌리고, 더하기와 빼기 키로 크기를 바꿉니다.",
    turnHint: "끌어서 돌리고, 두 손가락이나 휠로 크기를 바꿉니다. 키보드: 화살표, +, −.",
    drop: "사진이나 동영상을 고르거나 여기에 끌어다 놓으세요.",
    glb: "몸 (GLB)",
    json: "수치 (JSON)",
    loading: "신경망을 불러오는 중 …",
    ready: "준비되었습니다.",
    working: "찾는 중 …",
    one: "1명을 찾았습니다.",
    many: "{}명을 찾았습니다.",
    nobody: "이 사진에서 사람을 찾지 못했습니다. 사람이 더 크게, 또는 전신이 보이는 사진을 써 보세요.",
    noImage: "이 파일은 사진이나 동영상으로 읽을 수 없습니다: {}",
    noCamera: "카메라를 쓸 수 없습니다: {}",
    noHttps: "카메라는 HTTPS 페이지나 이 기기 자체의 페이지에서만 쓸 수 있습니다.",
    noNetwork: "신경망을 불러올 수 없습니다: {}",
    noRuntime: "ONNX Runtime Web이 없습니다. README.txt에 적힌 파일을 이 페이지 옆의 onnxruntime/ 폴더에 넣어 주세요.",
    noWebgl: "이 브라우저에는 WebGL이 없어 그릴 수 없습니다. 수치는 내려받을 수 있습니다.",
    find: "사람 찾기",
    network: "몸 계산",
    draw: "그리기",
    rate: "초당 프레임",
    people: "사람 수",
    compute: "계산 장치",
    gpu: "GPU (WebGPU)",
    cpu: "CPU (WebAssembly)",
    threads: "스레드 {}개",
    model: "신경망",
    language: "English",
  },
};

let language = navigator.language?.toLowerCase().startsWith("ko") ? "ko" : "en";

/** The words of that name in the chosen language, `{}` filled with `value`. */
export function say(name, value = "") {
  return WORDS[language][name].replace("{}", value);
}

/** Write the words into the page: into elements with data-text, and as labels of those with data-label. */
export function translate() {
  document.documentElement.lang = language;
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
}

export function otherLanguage() {
  language = language === "en" ? "ko" : "en";
  translate();
}
