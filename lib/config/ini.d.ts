declare module "ini" {
  /** Sections and what stands before them; values are texts, true, false and null, or lists of them. */
  export const parse: (text: string) => Record<string, unknown>;
}
