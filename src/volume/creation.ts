import { existsSync, mkdirSync, realpathSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { syncFolder } from "../files/durable-file.ts";
import { VolumeError } from "./errors.ts";
import { isFolder, namesIn, type PlacePaths, placePaths } from "./place.ts";
import type { VolumePlace } from "./volume.ts";

/**
 * Claims a folder for a new volume: makes it, or takes an empty one, or clears what an interrupted creation left. What
 * such a creation left holds no data: without a header the volume was never open.
 *
 * @param besides - Names of files of the caller's that may lie there.
 * @throws {VolumeError} `VOLUME_EXISTS`, `VOLUME_PLACE_NOT_EMPTY`.
 */
export function preparePlace(at: VolumePlace, besides: readonly string[] = []): PlacePaths {
  mkdirSync(at.folder, { recursive: true, mode: 0o700 });
  const place = placePaths({ folder: realpathSync(at.folder) });
  refuseUnlessClaimable(place, besides);
  return place;
}

/** To be called again once the lock is held, since another creation may have finished in between. */
export function refuseUnlessClaimable(place: PlacePaths, besides: readonly string[] = []): void {
  if (existsSync(place.headerFile))
    throw new VolumeError("VOLUME_EXISTS", `${place.folder} is a volume already; choose another folder`);
  const leftovers = new Set([
    basename(place.creationMarker),
    basename(place.lockFile),
    basename(place.store),
    basename(place.root),
    `${basename(place.headerFile)}.tmp`,
  ]);
  const names = namesIn(place.folder).filter((name) => !besides.includes(name));
  const marked = existsSync(place.creationMarker);
  // A kill between making the lock file and the marker leaves the lock file alone, or an empty folder.
  const foreign = names.filter((name) => !(marked ? leftovers.has(name) : name === basename(place.lockFile)));
  if (foreign.length > 0)
    throw new VolumeError(
      "VOLUME_PLACE_NOT_EMPTY",
      `${place.folder} holds files (${JSON.stringify(foreign[0])}${foreign.length > 1 ? ", …" : ""}); ` +
        "a volume is made in an empty or new folder: choose one, or move the files and convert them into the volume",
    );
}

/** Marks the creation as begun and removes what an interrupted one left. The lock is held. */
export function beginCreation(place: PlacePaths): void {
  const interrupted = existsSync(place.creationMarker);
  writeFileSync(place.creationMarker, "", { mode: 0o600 });
  syncFolder(place.folder);
  if (interrupted) clearLeftovers(place);
}

/** Removes what the creation made so far; the folder can be claimed again. The lock is held. */
export function abortCreation(place: PlacePaths): void {
  clearLeftovers(place);
  endCreation(place);
}

function clearLeftovers(place: PlacePaths): void {
  rmSync(`${place.headerFile}.tmp`, { force: true });
  rmSync(place.store, { recursive: true, force: true });
  for (const folder of [place.data, place.root]) {
    if (isFolder(folder)) rmdirSync(folder);
  }
}

/** The header is in place: the volume exists. */
export function endCreation(place: PlacePaths): void {
  rmSync(place.creationMarker, { force: true });
  syncFolder(place.folder);
}
