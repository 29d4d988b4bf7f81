/**
 * Works on a trial network as another release of Strongroom would. Run from a copy of the sources, whose enclaves have a measurement of
 * their own: `node former-release.ts make|recover FOLDER`.
 */
import { exportKeys, importKeys, initialise } from "../../../../src/enclave/operator/provisioning.ts";
import { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";
import { upgradeChaincode } from "../../../../src/enclave/operator/trial-upgrade.ts";
import { call, withEnclave } from "./trial-calls.ts";

const [command, folder = ""] = process.argv.slice(2);
if (command === "make") {
  await using network = await TrialNetwork.create({ folder, organisations: 2, chaincodeId: "auction" });
  for (const number of [1, 2])
    await withEnclave(network, number, "main", async (client, stub) =>
      initialise(client, stub, await network.creation(client, network.organisation(number))),
    );
  await withEnclave(network, 1, "main", exportKeys);
  await withEnclave(network, 2, "main", importKeys);
  console.log(await call(network, 1, "create", "lot"));
  console.log(await call(network, 2, "submit", "lot", "70"));
} else {
  await using network = await TrialNetwork.open(folder);
  const { sequence, leftBehind } = await upgradeChaincode(network, { version: network.measurement, recover: true });
  console.log(`${sequence} ${leftBehind.length}`);
  console.log(await call(network, 2, "eval", "lot"));
}
