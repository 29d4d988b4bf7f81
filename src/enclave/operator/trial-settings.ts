import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { EnclaveError } from "../errors.ts";

/** In a network's folder; written last. */
export const trialSettingsFile = "network.json";
export const maxTrialOrganisations = 16;

const settingsSchema = z.strictObject({
  format: z.literal(1),
  organisations: z.array(z.string()).min(1).max(maxTrialOrganisations),
  chaincode: z.string(),
});
/** The file `network.json` of a trial network. */
export type TrialSettings = z.infer<typeof settingsSchema>;

/** Whether the making of a network in a folder was interrupted: its settings are written last. */
export function isUnfinished(folder: string): boolean {
  return existsSync(join(folder, "ledger")) && !existsSync(join(folder, trialSettingsFile));
}

/** @throws EnclaveError SETTINGS_INVALID: the folder holds no network */
export function readTrialSettings(folder: string): TrialSettings {
  let text: string;
  try {
    text = readFileSync(join(folder, trialSettingsFile), "utf8");
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${folder} holds no network`, {
      cause,
      hint: isUnfinished(folder)
        ? "the making of one was interrupted there: remove the folder, and make it anew by strongroom fpc network up"
        : "strongroom fpc network up makes one; name its folder by --folder",
    });
  }
  try {
    return settingsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${join(folder, trialSettingsFile)} is not the settings of a network`, {
      cause,
      hint: "it was altered: put back what strongroom fpc network up wrote, or make another network",
    });
  }
}
