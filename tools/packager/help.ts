/** What `npm start -- packager --help` prints. */
export const HELP = `Looks after the caches of this node's packager, and makes tokens.

Usage
  npm start -- packager stat  [--json]
  npm start -- packager purge ADDRESS… [--dry-run] [--json]
  npm start -- packager purge --all    [--dry-run] [--json]
  npm start -- packager clean [--json]
  npm start -- packager token --path PATH… [--ttl 5m] [--ip ADDRESS] [--id TEXT] [--rule NAME]

Commands
  stat     how full the caches are
  purge    let go of stored files: their copies, segments and indexes
  clean    remove now what was invalidated, is too old or too much
  token    a token for the first request of a player

Purge
  ADDRESS is a manifest's URL or path (of a set each rendition is meant), a file's, or a pattern with * for anything:
  https://video.example.net/i/film_,low,high,.mp4.csmil/master.m3u8   /i/film_low.mp4   '/i/trailers/*'
  The running packager is asked when CASTERPAK_APPLICATION_ADMIN_TOKEN is set; else its index of the caches is told,
  and the command waits until the packager has followed. Where none runs, the folders are cleaned by the command itself.

Token
  --path PATH    as in the address, with its prefix: /i/protected/film.mp4/master.m3u8; with * for anything below:
                 '/i/protected/*'. May be given more than once.
  --ttl TIME     how long it is good: 300, 30s, 5m, 24h [5m]
  --ip ADDRESS   for one viewer's address only
  --id TEXT      an id of the session, at most 64 printable characters
  --rule NAME    the rule whose password signs: default, or the name of [token_<name>] [the one that fits PATH]

Flags
  --server URL   the packager to ask [http://HOST:PACKAGER_PORT]
  --env FILE     take what the environment does not say out of a file, such as the .env of \`setup\`
  --json         answer with one line of JSON
  --help, -h     this text
`;
