import { type ControlRequest, ControlRequestError, readControlRequest, toWireKey } from "../control/messages.ts";
import { KeyTableError } from "../keys/errors.ts";
import { keysReport } from "../keys/keys-report.ts";
import type { TableRekey } from "../keys/rekey.ts";
import type { VolumeKeys } from "../keys/volume-keys.ts";
import type { Zone } from "../keys/zone.ts";
import type { SealedTree } from "../tree/sealed-tree.ts";
import type { AnswerRequest } from "./control-server.ts";
import type { Findings } from "./findings.ts";
import type { OwnerChannel } from "./owner-channel.ts";
import { OwnerWrapper } from "./owner-wrapper.ts";
import type { ResealingJob } from "./resealing-job.ts";
import type { SlicedTasks, SlicedWork } from "./sliced-tasks.ts";
import { checkZone, noFindings } from "./zone-check.ts";
import { isThere } from "./zone-walk.ts";

/** Keys that finishing a re-keying may wrap by itself: those of zones that were made since they were last asked for. */
const mostUnstaged = 512;

export interface ControlledVolume {
  readonly tree: SealedTree;
  readonly keys: VolumeKeys;
  readonly tasks: SlicedTasks;
  readonly resealing: ResealingJob;
  readonly findings: Findings;
  /** Left out when nobody can open envelopes here. */
  readonly owner?: OwnerChannel;
}

/** What work that takes its time calls when it is done. */
type Answer = (value: unknown) => void;

/** Answers what is asked of a volume that is served (control/control.ts). Nothing that is asked ends the server. */
export class ControlRequests {
  readonly #volume: ControlledVolume;
  #rekey: { readonly rekey: TableRekey; readonly publicKey: Buffer } | undefined;

  constructor(volume: ControlledVolume) {
    this.#volume = volume;
  }

  readonly answer: AnswerRequest = (line, answer, isThere) => {
    const refuse = (error: unknown) => answer(JSON.stringify({ error: refusal(error) }));
    try {
      const request = readControlRequest(line);
      const later = (work: (done: Answer) => SlicedWork) =>
        this.#volume.tasks.add(
          work((value) => answer(JSON.stringify({ value }))),
          refuse,
          isThere,
        );
      const value = this.#act(request, later);
      if (value !== later) answer(JSON.stringify({ value: value ?? null }));
    } catch (error) {
      refuse(error);
    }
  };

  /** Forgets the keys of a re-keying under way, which goes on where it was when it begins again. */
  close(): void {
    this.#rekey?.rekey[Symbol.dispose]();
    this.#rekey = undefined;
  }

  /** @returns What is answered; `later` when that is left to work that was added. */
  #act(request: ControlRequest, later: (work: (done: Answer) => SlicedWork) => void): unknown {
    const { keys, tree, resealing, findings } = this.#volume;
    const { table } = keys;
    switch (request.method) {
      case "keys":
        return keysReport(table, (zoneId) => resealing.counted(zoneId));
      case "rules":
        return table.rules.rules;
      case "setRules":
        return table.setRules(request.parameters.rules);
      case "rotate": {
        const generation = keys.rotate(this.#zoneAt(request.parameters.zone).zoneId);
        resealing.begin();
        return { generation };
      }
      case "resealing":
        return resealing.progress;
      case "setResealingRate":
        return resealing.setRate(request.parameters.bytesPerSecond);
      case "destroyGeneration": {
        const { zoneId } = this.#zoneAt(request.parameters.zone);
        const { generation } = request.parameters;
        table.retireGeneration(zoneId, generation);
        later((done) => this.#destroyGeneration(zoneId, generation, done));
        return later;
      }
      case "destroyZone":
        return this.#destroyZone(this.#zoneAt(request.parameters.zone).zoneId);
      case "sweep":
        later((done) => this.#sweep(done));
        return later;
      case "sync":
        return tree.syncAll();
      case "findings":
        return findings.report;
      default:
        return this.#rekeyAct(request);
    }
  }

  #rekeyAct(request: ControlRequest): unknown {
    const { keys, owner } = this.#volume;
    switch (request.method) {
      case "beginRekey": {
        const { publicKey } = request.parameters;
        if (this.#rekey?.publicKey.equals(publicKey) !== true) {
          this.close();
          const rekey = keys.table.beginMasterRekey(new OwnerWrapper(publicKey, owner));
          this.#rekey = { rekey, publicKey };
        }
        return this.#openRekey().progress;
      }
      case "waitingKeys":
        return this.#openRekey().waiting(request.parameters.most).map(toWireKey);
      case "stageKeys":
        return this.#openRekey().stage(request.parameters.made);
      case "stagedKeys":
        return this.#openRekey().staged().map(toWireKey);
      case "finishRekey": {
        const rekey = this.#openRekey();
        if (rekey.waiting(mostUnstaged + 1).length > mostUnstaged)
          throw new KeyTableError(
            "REKEY_INCOMPLETE",
            `more than ${mostUnstaged} keys have no new envelope; stage them`,
          );
        rekey.finish(request.parameters);
        this.#rekey = undefined;
        return undefined;
      }
      case "dropPrevious":
        return keys.table.dropPrevious();
      default:
        throw new ControlRequestError("no such method");
    }
  }

  #destroyZone(zoneId: Buffer): void {
    const { keys, tree } = this.#volume;
    try {
      keys.destroyZone(zoneId);
    } finally {
      if (keys.table.zone(zoneId)?.destroyed === true) tree.abandonZone(zoneId);
    }
  }

  *#destroyGeneration(zoneId: Buffer, generation: number, done: Answer): SlicedWork {
    const { keys, tree, resealing } = this.#volume;
    const zone = keys.table.zone(zoneId);
    if (zone === undefined) throw new KeyTableError("ZONE_ABSENT");
    const found = noFindings();
    yield* checkZone({ tree, keys, zone }, found);
    resealing.keepCount(zoneId, found.bytes);
    if (found.damagedCount > 0)
      throw new KeyTableError(
        "GENERATION_IN_USE",
        `${found.damagedCount} things of the zone cannot be read, so it is not known what they are sealed under: ` +
          `${found.damaged.join("; ")}; restore or remove them`,
      );
    const sealedBytes = found.bytes.get(generation) ?? 0;
    // What is sealed anew must outlive a power loss before the old key goes.
    if (sealedBytes === 0) tree.syncAll();
    keys.destroyGeneration(zoneId, generation, sealedBytes);
    done(null);
  }

  *#sweep(done: Answer): SlicedWork {
    const { keys, tree } = this.#volume;
    const gone: string[] = [];
    for (const zone of Array.from(keys.table.zones())) {
      if (zone.path.length === 0 || isThere(tree, zone.path)) {
        yield undefined;
        continue;
      }
      if (keys.table.zone(zone.zoneId) !== undefined) keys.removeZone(zone.zoneId);
      gone.push(Buffer.from(zone.path.join("/"), "latin1").toString("utf8"));
      yield undefined;
    }
    keys.table.settle();
    done(gone);
  }

  #openRekey(): TableRekey {
    if (this.#rekey === undefined)
      throw new KeyTableError("REKEY_INCOMPLETE", "no re-keying was begun; begin it first");
    return this.#rekey.rekey;
  }

  /** @param zone - As text, names joined by "/". */
  #zoneAt(zone: string): Zone {
    const path = zone === "" ? [] : Buffer.from(zone).toString("latin1").split("/");
    const found = this.#volume.keys.table.zoneMadeFor(path);
    if (found === undefined) throw new KeyTableError("ZONE_ABSENT", `there is no zone at ${JSON.stringify(zone)}`);
    return found;
  }
}

/** An error's message may hold what a program wrote, unless it is made for people. */
function refusal(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof KeyTableError) return { code: error.code, message: error.message };
  if (error instanceof ControlRequestError) return { code: "REQUEST_INVALID", message: error.message };
  if (error instanceof RangeError) return { code: "REQUEST_INVALID", message: "a value is out of its range" };
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return { code: "FAILED", message: `the server could not do it: ${typeof code === "string" ? code : "it failed"}` };
}
