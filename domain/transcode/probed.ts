/** What ffprobe prints as JSON, as far as it is read here; everything may be missing. */

export interface ProbedStream {
  readonly index: number;
  readonly codec_type?: string;
  readonly codec_name?: string;
  readonly width?: number;
  readonly height?: number;
  readonly sample_aspect_ratio?: string;
  readonly pix_fmt?: string;
  readonly bits_per_raw_sample?: string;
  readonly color_range?: string;
  readonly color_space?: string;
  readonly color_transfer?: string;
  readonly color_primaries?: string;
  readonly field_order?: string;
  readonly closed_captions?: number;
  readonly has_b_frames?: number;
  readonly r_frame_rate?: string;
  readonly avg_frame_rate?: string;
  readonly start_time?: string;
  readonly duration?: string;
  readonly channels?: number;
  readonly sample_rate?: string;
  readonly disposition?: Readonly<Record<string, number>>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly side_data_list?: readonly SideData[];
}
export interface SideData {
  readonly side_data_type?: string;
  readonly displaymatrix?: string;
  readonly [field: string]: unknown;
}
export interface ProbedFrame {
  readonly interlaced_frame?: number;
  readonly color_transfer?: string;
  readonly side_data_list?: readonly SideData[];
}
export interface ProbedPacket {
  readonly pts_time?: string;
  readonly dts_time?: string;
  readonly duration_time?: string;
  readonly flags?: string;
}
export interface ProbedFormat {
  readonly format_name?: string;
  readonly start_time?: string;
  readonly duration?: string;
  readonly size?: string;
}
export interface Probed {
  readonly format?: ProbedFormat;
  readonly streams?: readonly ProbedStream[];
  readonly frames?: readonly ProbedFrame[];
  readonly packets?: readonly ProbedPacket[];
}

/** Null for what is missing, `N/A` or no number. */
export const numberOf = (text: string | undefined): number | null => {
  const value = text === undefined || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
};
/** `24000/1001`; null for `0/0`. */
export const ratioOf = (text: string | undefined): { readonly num: number; readonly den: number } | null => {
  const [, num = "", den = ""] = /^(\d{1,10})[/:](\d{1,10})$/.exec(text ?? "") ?? [];
  return Number(num) > 0 && Number(den) > 0 ? { num: Number(num), den: Number(den) } : null;
};
