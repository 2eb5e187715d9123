const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MONTH = `(${MONTHS.join("|")})`;
const DAY = "(?:mon|tue|wed|thu|fri|sat|sun)";
const LONG_DAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day";
const TIME = "(\\d\\d):(\\d\\d):(\\d\\d)";
/** RFC 9111 §4.2: "a cache recipient SHOULD match the field value case-insensitively". */
const IMF = new RegExp(`^${DAY}, (\\d\\d) ${MONTH} (\\d{4}) ${TIME} GMT$`, "i");
const RFC_850 = new RegExp(`^${LONG_DAY}, (\\d\\d)-${MONTH}-(\\d\\d) ${TIME} GMT$`, "i");
const ASCTIME = new RegExp(`^${DAY} ${MONTH} ([ \\d]\\d) ${TIME} (\\d{4})$`, "i");

/** RFC 9110 §5.6.7: two digits of a year that would be more than 50 years ahead are of the past. */
const fullYear = (digits: number, nowWallMs: number): number => {
  const present = new Date(nowWallMs).getUTCFullYear();
  const year = present - (present % 100) + digits;
  return year > present + 50 ? year - 100 : year;
};

interface Parts {
  readonly day: string;
  readonly month: string;
  readonly year: number;
  readonly time: readonly string[];
}
const utcMs = ({ day, month, year, time }: Parts): number | undefined => {
  const [hour = 0, minute = 0, second = 0] = time.map(Number);
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const days = Date.UTC(year, MONTHS.indexOf(month.toLowerCase()), Number(day));
  if (new Date(days).getUTCDate() !== Number(day)) return undefined;
  return days + ((hour * 60 + minute) * 60 + second) * 1_000;
};

/**
 * An HTTP-date in any of its three forms (RFC 9110 §5.6.7), in any case, as ms since 1970; undefined for anything else.
 * `nowWallMs` places the two-digit years of RFC 850.
 */
export const httpDateMs = (text: string, nowWallMs: number): number | undefined => {
  const imf = IMF.exec(text);
  if (imf) {
    const [, day = "", month = "", year, ...time] = imf;
    return utcMs({ day, month, year: Number(year), time });
  }
  const rfc850 = RFC_850.exec(text);
  if (rfc850) {
    const [, day = "", month = "", year, ...time] = rfc850;
    return utcMs({ day, month, year: fullYear(Number(year), nowWallMs), time });
  }
  const asctime = ASCTIME.exec(text);
  if (!asctime) return undefined;
  const [, month = "", day = "", ...rest] = asctime;
  return utcMs({ day, month, year: Number(rest[3]), time: rest.slice(0, 3) });
};

/** An instant (ms since 1970) as an IMF-fixdate (RFC 9110 §5.6.7). */
export const imfDate = (wallMs: number): string => new Date(wallMs).toUTCString();
