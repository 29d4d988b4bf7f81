import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mountExt4 } from "./encrypted-ext4.ts";
import { transparent } from "./transparent-subject.ts";
import { volumeContract } from "./volume-contract.ts";

volumeContract("fscrypt", () => {
  const ext4 = mountExt4("encrypt");
  if (typeof ext4 === "string") return ext4;
  return {
    ...transparent,
    workFolder: ext4.mountPoint,
    // The whole disk, byte by byte: what a thief has.
    searchLocked(_folder, needle) {
      execFileSync("sync", ["-f", ext4.mountPoint]);
      return readFileSync(ext4.image).includes(needle) ? [ext4.image] : [];
    },
    clear: () => ext4.remove(),
  };
});
