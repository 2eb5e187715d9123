/** A small tus 1.0 client for one file: it goes on by itself, and after a reload when the same file is chosen. */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 10_000;
const IDLE_MS = 60_000;

/** What trying again does not change. */
export class Refused extends Error {}

const textBase64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const mayPass = (status) => status === 0 || status >= 500 || [408, 409, 423, 425, 429].includes(status);
const detailIn = (text) => {
  try {
    return JSON.parse(text).detail;
  } catch {
    return undefined;
  }
};

export class TusUpload {
  #file;
  #options;
  #request;
  #paused;
  #resume = () => {};

  /** `progress` is told how many bytes are there, or on their way. */
  constructor(file, options) {
    this.#file = file;
    this.#options = options;
  }

  /** The upload's URL once all bytes are there. */
  async send() {
    for (let wait = RETRY_FIRST_MS; ; ) {
      await this.#paused;
      try {
        const offset = await this.#offset();
        this.#options.progress(offset);
        if (offset === this.#file.size) return this.#url;
        await this.#patch(offset);
        wait = RETRY_FIRST_MS;
      } catch (error) {
        if (error instanceof Refused) throw error;
        if (this.#paused) continue;
        await new Promise((resolve) => setTimeout(resolve, wait));
        wait = Math.min(RETRY_MAX_MS, wait * 2);
      }
    }
  }

  pause() {
    this.#paused = new Promise((resolve) => {
      this.#resume = resolve;
    });
    this.#request?.abort();
  }

  resume() {
    this.#paused = undefined;
    this.#resume();
  }

  /** It is over: the same file is a new upload from now on. */
  forget() {
    localStorage.removeItem(this.#name);
  }

  /** Where this file's upload is kept between two visits. */
  get #name() {
    const { name, size, lastModified } = this.#file;
    return `castellan-upload ${name} ${size} ${lastModified}`;
  }

  get #url() {
    return localStorage.getItem(this.#name);
  }

  async #offset() {
    const url = this.#url;
    if (url !== null) {
      const head = await this.#ask("HEAD", url);
      if (head.status === 200) return Number(head.getResponseHeader("upload-offset"));
      if (head.status !== 404 && head.status !== 410) this.#check(head);
      this.forget();
    }
    const { name, type, size } = this.#file;
    const metadata = Object.entries({ filename: name, filetype: type })
      .map(([key, value]) => `${key} ${textBase64(value)}`)
      .join(",");
    const made = await this.#ask("POST", this.#options.endpoint, {
      headers: { "upload-length": String(size), "upload-metadata": metadata },
    });
    this.#check(made);
    localStorage.setItem(this.#name, new URL(made.getResponseHeader("location"), location.href).pathname);
    return 0;
  }

  async #patch(offset) {
    const headers = { "upload-offset": String(offset), "content-type": "application/offset+octet-stream" };
    const progress = ({ loaded }) => this.#options.progress(offset + loaded);
    this.#check(await this.#ask("PATCH", this.#url, { headers, body: this.#file.slice(offset), progress }));
  }

  #check({ status, responseText }) {
    if (status >= 200 && status < 300) return;
    if (mayPass(status)) throw new Error(`the server answers with ${status}`);
    throw new Refused(detailIn(responseText) ?? `the server answers with ${status}`);
  }

  /** Resolves with the request, whatever came of it; fetch would not tell how far a body is. */
  #ask(method, url, { headers = {}, body = null, progress } = {}) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open(method, url);
      const all = { authorization: `Bearer ${this.#options.key}`, "tus-resumable": "1.0.0", ...headers };
      for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
      let idle;
      const alive = () => {
        clearTimeout(idle);
        idle = setTimeout(() => request.abort(), IDLE_MS);
      };
      request.upload.onprogress = (event) => {
        alive();
        progress?.(event);
      };
      request.onloadend = () => {
        clearTimeout(idle);
        resolve(request);
      };
      alive();
      this.#request = request;
      request.send(body);
    });
  }
}
