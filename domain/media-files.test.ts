import assert from "node:assert/strict";
import test from "node:test";
import { isMediaFile, titleOfFile } from "./media-files.ts";

/** `Show (2010) / 1 / 2: Title`, or `Name (2020)`. */
const shown = (path: string): string => {
  const { name, kind, year, place } = titleOfFile(path);
  const yearText = (number: number | undefined): string => (number === undefined ? "" : ` (${number})`);
  if (kind !== "episode") return `${name}${yearText(year)}`;
  if (!place) return `? / ${name}`;
  return `${place.series}${yearText(place.seriesYear)} / ${place.season} / ${place.number}: ${name}`;
};

test("names of files say which films are meant", () => {
  for (const [path, title] of [
    ["Name (2020).mp4", "Name (2020)"],
    ["a/b/Name [2020] extended.mp4", "Name (2020)"],
    ["The.Name.2019.1080p.BluRay.x264.mkv", "The Name (2019)"],
    ["Blade.Runner.2049.mkv", "Blade Runner 2049"],
    ["2012.mkv", "2012"],
    ["1917 (2019).mkv", "1917 (2019)"],
    ["holiday_in_rome.mov", "holiday in rome"],
    ["Film 1920x1080.mp4", "Film 1920x1080"],
    ["Rooms1x02.mp4", "Rooms1x02"],
    ["films/02 - Second.mkv", "02 - Second"],
    [".mkv", ".mkv"],
  ]) {
    assert.equal(shown(path ?? ""), title, path);
  }
});

test("names of files and folders say which episode of which series is meant", () => {
  for (const [path, title] of [
    ["Show/Season 01/Show S01E02 Title.mkv", "Show / 1 / 2: Title"],
    ["tv/Show (2010)/Season 1/Show S01E02 - The End.mkv", "Show (2010) / 1 / 2: The End"],
    ["Show.S01E02.mkv", "Show / 1 / 2: Episode 2"],
    ["a/Show.Name.S01E02.1080p.WEB.mkv", "Show Name / 1 / 2: Episode 2"],
    ["Show.Name.S01E02.The.Second.One.720p.HDTV.x264-GRP.mkv", "Show Name / 1 / 2: The Second One"],
    ["Show_Name_S01E02.mkv", "Show Name / 1 / 2: Episode 2"],
    ["Show - 3x07 - The end.avi", "Show / 3 / 7: The end"],
    ["Show 1x02.mp4", "Show / 1 / 2: Episode 2"],
    ["Show (2010) S02E01.mkv", "Show (2010) / 2 / 1: Episode 1"],
    ["Show S01E02-E03 Both.mkv", "Show / 1 / 2: Both"],
    ["Show S01E02E03.mkv", "Show / 1 / 2: Episode 2"],
    ["Show/S01E02.mkv", "Show / 1 / 2: Episode 2"],
    ["Show/S01/E02 Title.mkv", "Show / 1 / 2: Title"],
    ["Show/Season 02/03 - Title [1080p].mkv", "Show / 2 / 3: Title"],
    ["Show/Season 02/Show - Episode 4.mkv", "Show / 2 / 4: Episode 4"],
    ["Show/Staffel 2/05.mkv", "Show / 2 / 5: Episode 5"],
    ["Show/Specials/S00E01 Making of.mkv", "Show / 0 / 1: Making of"],
    ["Season 01/Show S01E02.mkv", "Show / 1 / 2: Episode 2"],
    ["Season 01/02.mkv", "? / 02"],
    ["S01E02.mkv", "? / S01E02"],
    ["News/S2019E101.mkv", "News / 2019 / 101: Episode 101"],
    ["Show/Season 1/1984.mkv", "1984"],
    ["The 100/Season 1/The 100 - S01E03.mkv", "The 100 / 1 / 3: Episode 3"],
    ["Show/Season 1/S02E01.mkv", "Show / 2 / 1: Episode 1"],
  ]) {
    assert.equal(shown(path ?? ""), title, path);
  }
});

test("what looks like a film is one by its ending, and not hidden", () => {
  assert.deepEqual(["a/b.MKV", "b.ts", "b.txt", "mkv", "a/.b.mkv", "b.mkv/c"].map(isMediaFile), [
    ...[true, true, false, false, false, false],
  ]);
});
