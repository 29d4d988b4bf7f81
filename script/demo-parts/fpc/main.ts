/** Keys of confidential chaincode, handed from enclave to enclave. Run it by `script/demo --fpc`. */
import { randomBytes, randomInt } from "node:crypto";
import { Demo } from "../demo.ts";
import { chaincodeId, DemoConsortium, type EnclaveRow } from "./consortium.ts";

const demo = new Demo({ steps: 10, option: "fpc", usage: "usage: script/demo --fpc [--keep]" });
const { work, stage, commands } = demo;
const consortium = new DemoConsortium(stage, commands, work, 3);
const lifecycle = (transaction: string, org: number) => [
  "lifecycle",
  "chaincode",
  transaction,
  chaincodeId,
  "--org",
  `${org}`,
];
const invoke = (org: number, ...words: string[]) => consortium.run("invoke", chaincodeId, ...words, "--org", `${org}`);

interface Initialised {
  readonly enclaveId: string;
  readonly generated: boolean;
}

function rowOf(enclaves: readonly EnclaveRow[], id: string): EnclaveRow {
  const found = enclaves.find((one) => one.id === id);
  if (found === undefined) throw new Error(`the ledger has no enclave ${id}`);
  return found;
}

const shown = ({ id, mspId, state, generation }: EnclaveRow) =>
  `${id.slice(0, 8)} of ${mspId} ${state}, generation ${generation ?? "none"}`;

async function story(): Promise<void> {
  // A bid that is found somewhere is found for certain: 15 digits that nothing else has.
  const bid = (first: number) => `${first}${randomInt(10 ** 7, 10 ** 8 - 1)}${randomInt(10 ** 6, 10 ** 7 - 1)}`;
  const [lower, higher] = [bid(1), bid(9)];
  const lot = `picture-${randomBytes(8).toString("hex")}`;

  stage.step("A channel of three organisations, with a registry and a sealed-bid auction that two of them endorse");
  await consortium.run("network", "up", "--orgs", "3", "--chaincode", chaincodeId);

  stage.step("Org1's enclave generates the chaincode's keys; the others' enclaves are told to import them");
  const enclaves: Initialised[] = [];
  for (const org of [1, 2, 3]) {
    enclaves.push(await consortium.read<Initialised>(...lifecycle("initEnclave", org)));
    stage.say(`enclave ${enclaves.at(-1)?.enclaveId} of Org${org}MSP is registered`);
  }
  const [first = "", second = "", third = ""] = enclaves.map(({ enclaveId }) => enclaveId);
  stage.check(
    "one enclave has generated keys",
    enclaves.map(({ generated }) => generated).join() === "true,false,false",
    "Org1's; no other has",
  );
  await consortium.refused(
    "before the import one organisation alone can run it",
    /1 hold its keys/,
    ...["invoke", chaincodeId, "create", lot],
  );

  stage.step("Org1's enclave exports the keys to those whose evidence it verified; they import them");
  await consortium.run(...lifecycle("exportcckeys", 1));
  for (const org of [2, 3]) await consortium.run(...lifecycle("importcckeys", org));
  const { enclaves: provisioned } = await consortium.status();
  stage.check(
    "three enclaves hold the same generation",
    provisioned.length === 3 &&
      provisioned.every(({ state, generation }) => state === "provisioned" && generation === 1),
    provisioned.map(shown).join("; "),
  );

  stage.step("A confidential auction, run by enclaves of two organisations that must write alike");
  await invoke(1, "create", lot);
  await invoke(2, "submit", lot, lower);
  await invoke(3, "submit", lot, higher);
  await consortium.refused(
    "nobody learns a bid while the auction is open",
    /AUCTION_STILL_OPEN/,
    ...["invoke", chaincodeId, "eval", lot, "--org", "2"],
  );
  const auction = { name: "auction", bytes: Buffer.from(lot) };
  const bids = [lower, higher].map((amount, index) => ({ name: `bid ${index + 1}`, bytes: Buffer.from(amount) }));
  const secrets = [...bids, { name: "private key", bytes: Buffer.from("PRIVATE KEY-----") }];
  const { files, bytes, found } = consortium.search([auction, ...secrets]);
  const searched = `in ${files} files of peers, orderer and hosts, ${(bytes / 1e6).toFixed(1)} MB`;
  const named = found.filter(({ name }) => name === auction.name).length;
  stage.check("the auction's name, which is no secret, is found on the disks", named > 0, `${named} hits ${searched}`);
  stage.check("no bid and no private key is", found.length === named, `${found.length - named} hits ${searched}`);
  await invoke(1, "close", lot);
  const won = await invoke(2, "eval", lot);
  stage.check(
    "the higher bid has won",
    won.includes(`"amount":"${higher}"`) && won.includes("Org3MSP") && !won.includes(lower),
    "of Org3MSP; the other bid is not told",
  );

  stage.step("Org3's enclave is revoked: nothing is written before the keys are rotated");
  await consortium.refused(
    "an enclave of another organisation is not revoked by one admin",
    /it takes an admin of Org3MSP/,
    ...["keys", "revoke", third, "--reason", "no reason", "--org", "1"],
  );
  await consortium.run("keys", "revoke", third, "--reason", "its host was stolen", "--org", "3");
  await consortium.refused(
    "revoked, and not rotated: nothing runs",
    /revoked/,
    "invoke",
    chaincodeId,
    "create",
    `${lot}-2`,
  );

  stage.step("The keys are rotated: a second generation, which Org3's enclave does not get");
  await consortium.run("keys", "rotate", "--org", "1");
  const rotated = await consortium.status();
  stage.check(
    "the two others hold generation 2, the revoked one does not",
    rotated.activeGeneration === 2 &&
      [first, second].every((id) => rowOf(rotated.enclaves, id).generation === 2) &&
      rowOf(rotated.enclaves, third).state === "revoked" &&
      rowOf(rotated.enclaves, third).generation !== 2,
    rotated.enclaves.map(shown).join("; "),
  );
  await consortium.refused("the revoked enclave imports nothing", /it is revoked/, ...lifecycle("importcckeys", 3));
  stage.check("the chaincode runs again", (await invoke(1, "create", `${lot}-2`)) === "OK", "under generation 2");

  stage.step("Shares are issued to the organisations; then every enclave is lost");
  await consortium.run("keys", "share", "--org", "1");
  stage.say(`${consortium.loseEnclaves()} enclaves' sealed keys are deleted from their hosts`);
  await consortium.refused(
    "no enclave is left that could run it",
    /0 hold its keys/,
    ...["invoke", chaincodeId, "eval", lot],
  );

  stage.step("A new enclave recovers the keys with the shares of two organisations of three, and not of one");
  const renewed = ["--enclave", "renewed"];
  const { enclaveId: saviour } = await consortium.read<Initialised>(...lifecycle("initEnclave", 3), ...renewed);
  await consortium.run("keys", "release", saviour, "--org", "1");
  await consortium.refused(
    "with one share it is refused",
    /1 recovery shares are released, and 2 are needed/,
    "keys",
    "recover",
    "--org",
    "3",
    ...renewed,
  );
  await consortium.run("keys", "release", saviour, "--org", "2");
  await consortium.run("keys", "recover", "--org", "3", ...renewed);
  await consortium.read<Initialised>(...lifecycle("initEnclave", 1), ...renewed);
  await consortium.run(...lifecycle("exportcckeys", 3), ...renewed);
  await consortium.run(...lifecycle("importcckeys", 1), ...renewed);
  const again = await invoke(2, "eval", lot);
  stage.check("what was written under generation 1 is read again", again === won, "the same answer as before the loss");
  await consortium.run("status");

  stage.step("The chaincode gets another endorsement policy: its enclaves attest for the definition that follows");
  const endorsement = ["--endorsement", "AND('Org1MSP.peer', 'Org3MSP.peer')"];
  await consortium.refused(
    "one organisation alone does not change it",
    /signatures of 1 organisations, and needs 2/,
    ...["chaincode", "upgrade", chaincodeId, ...endorsement, "--by", "2"],
  );
  await consortium.run("chaincode", "upgrade", chaincodeId, ...endorsement);
  stage.check("the state is served as before", (await invoke(2, "eval", lot)) === won, "by the same two enclaves");

  stage.step("What really happened, as the ledger and the hosts' journals have it");
  const trace = await consortium.run("trace", chaincodeId);
  const arrows = ["generateCCKeys()", "exportCCKeys(", "importCCKeys()", "can_endorse(", "GetMetadata()"];
  const ledger = ["registerEnclave", "registerCCKeys", "putKeyExport", "revokeEnclave"];
  const missing = [...arrows, ...ledger.map((one) => `submit ${one} transaction`)].filter(
    (one) => !trace.includes(one),
  );
  stage.check(
    "the diagram has every part of the sequence",
    missing.length === 0 && trace.startsWith("@startuml"),
    missing.length === 0 ? `${trace.match(/ -> /g)?.length} arrows` : `missing: ${missing.join(", ")}`,
  );
}

await demo.play(story);
