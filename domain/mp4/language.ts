/** Languages as `mdhd` holds them: three letters of ISO 639-2/T in 15 bits (ISO/IEC 14496-12 §8.4.2.3). */

/** ISO 639-1 and its ISO 639-2/T code, five letters each. */
const CODES = `
  aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul bibis bmbam bnben bobod
  brbre bsbos cacat ceche chcha cocos crcre csces cuchu cvchv cycym dadan dedeu dvdiv dzdzo eeewe elell eneng eoepo
  esspa etest eueus fafas ffful fifin fjfij fofao frfra fyfry gagle gdgla glglg gngrn guguj gvglv hahau heheb hihin
  hohmo hrhrv hthat huhun hyhye hzher iaina idind ieile igibo iiiii ikipk ioido isisl itita iuiku jajpn jvjav kakat
  kgkon kikik kjkua kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom kwcor kykir lalat lbltz lglug lilim lnlin
  lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd mlmal mnmon mrmar msmsa mtmlt mymya nanau nbnob ndnde nenep ngndo
  nlnld nnnno nonor nrnbl nvnav nynya ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque rmroh rnrun
  roron rurus rwkin sasan scsrd sdsnd sesme sgsag sisin skslk slslv smsmo snsna sosom sqsqi srsrp ssssw stsot susun
  svswe swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur tstso tttat twtwi tytah uguig ukukr ururd
  uzuzb veven vivie vovol wawln wowol xhxho yiyid yoyor zazha zhzho zuzul`;

const TERMINOLOGY: ReadonlyMap<string, string> = new Map(
  CODES.trim()
    .split(/\s+/)
    .map((pair) => [pair.slice(0, 2), pair.slice(2)]),
);

/** The primary language of a BCP 47 tag as ISO 639-2/T; `und` where it has none. */
export const threeLetterLanguage = (tag: string): string => {
  const primary = tag.split("-")[0]?.toLowerCase() ?? "";
  const code = primary.length === 2 ? (TERMINOLOGY.get(primary) ?? "und") : primary;
  return /^[a-z]{3}$/.test(code) ? code : "und";
};

/** The three letters tell all of the tag. */
export const isThreeLetterLanguage = (tag: string): boolean =>
  tag === "" || tag === threeLetterLanguage(tag) || TERMINOLOGY.has(tag);

const LETTER_BEFORE_A = 0x60;

/** Three letters of five bits each. */
export const packedLanguage = (tag: string): number =>
  [...threeLetterLanguage(tag)].reduce((bits, letter) => (bits << 5) | (letter.charCodeAt(0) - LETTER_BEFORE_A), 0);
