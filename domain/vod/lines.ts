/**
 * Lines of a picture, as in the names of rungs and in licences: those of its shorter side. A film of a phone that is
 * held upright, 1080x1920, is as fine as one of 1920x1080.
 */
export const linesOf = ({ width, height }: { readonly width: number; readonly height: number }): number =>
  Math.min(width, height);
