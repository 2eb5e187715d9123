/**
 * Names of a third party, looked at as the connection is made: a check when the address is entered does not see where a
 * name leads later. What is looked at are the very addresses that the connection may go to.
 */
import { type LookupAddress, lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { isRefusedAddress, PRIVATE_ADDRESS } from "../source-guard.ts";

/** The code of the error that a refused connection ends with. */
export const ADDRESS_REFUSED = "ERR_PRIVATE_ADDRESS";

export const addressRefusal = (): Error => Object.assign(new Error(PRIVATE_ADDRESS), { code: ADDRESS_REFUSED });

/** Whether a host is an address, of which nothing is looked up, and refused. */
export const isRefusedLiteral = (host: string, allowPrivateSources: readonly string[]): boolean =>
  isIP(host) !== 0 && isRefusedAddress(host, allowPrivateSources);

/** For the option `lookup` of a connection; one refused address refuses the name. */
export const guardedLookup =
  (allowPrivateSources: readonly string[]): LookupFunction =>
  (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, found: LookupAddress[] = []) => {
      const isRefused = found.some(({ address }) => isRefusedAddress(address, allowPrivateSources));
      const [first] = found;
      if (error || isRefused || !first) done(error ?? addressRefusal(), []);
      else if (options.all) done(null, found);
      else done(null, first.address, first.family);
    });
  };
