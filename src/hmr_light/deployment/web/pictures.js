// Pixels out of image files, video files and the camera.

const LARGEST = 4096; // of an image's longer side, pixels: larger ones are too much for the canvas of some phones
const LARGEST_FRAME = 1280;

/** The pixels of an image file, turned by its EXIF orientation; raises an Error for what is no image. */
export async function readImage(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  return pixelsOf(bitmap, bitmap.width, bitmap.height, LARGEST);
}

/** An ImageData of `source`, whose longer side is at most `largest`. */
function pixelsOf(source, width, height, largest) {
  const ratio = Math.min(1, largest / Math.max(width, height));
  const canvas = pixelsOf.canvas ??= document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** A video file, or the camera. */
export class Movie {
  /** Raises an Error for what is no video, or without a camera. */
  static async open(blob) {
    const movie = new Movie();
    const { video } = movie;
    if (blob) video.src = movie.address = URL.createObjectURL(blob);
    else video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
    movie.isCamera = !blob;
    try {
      await new Promise((resolve, reject) => {
        video.onloadeddata = resolve;
        video.onerror = () => reject(new Error(video.error?.message || "no video"));
      });
      await video.play();
    } catch (error) {
      movie.close();
      throw error;
    }
    return movie;
  }

  constructor() {
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true });
    this.seen = -1;
  }

  get time() {
    return this.video.currentTime;
  }

  get isPlaying() {
    return !this.video.paused && !this.video.ended;
  }

  toggle() {
    return this.isPlaying ? this.video.pause() : this.video.play();
  }

  /** Waits for a frame that was not seen yet. */
  async nextFrame() {
    const { video } = this;
    while (video.currentTime === this.seen) await new Promise((resolve) => requestAnimationFrame(resolve));
    this.seen = video.currentTime;
  }

  pixels() {
    return pixelsOf(this.video, this.video.videoWidth, this.video.videoHeight, LARGEST_FRAME);
  }

  close() {
    this.video.pause();
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
    this.video.removeAttribute("src");
    this.video.srcObject = null;
    if (this.address) URL.revokeObjectURL(this.address);
  }
}
