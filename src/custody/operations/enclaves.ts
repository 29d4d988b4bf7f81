import {
  type EnclaveOperations,
  type EnclaveReport,
  enclaveIdPattern,
  enclaveMeasurementPattern,
  enclaveNamePattern,
  enclaveStates,
  maxEnclavesOfNode,
  type ReportedEnclave,
} from "../contract/enclaves.ts";
import { type AccountSubject, type Core, performDecided, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { Subject } from "../journal.ts";
import type { Caller } from "../service.ts";
import { change, type EnclaveRecord, type StateChange } from "../state/records.ts";
import { nodeOf } from "./leases.ts";
import { findPrincipal } from "./principals.ts";

/** Enclaves, as their hosts tell of them. Which node is meant is never said in a host's request: it is the one that calls. */
export class Enclaves implements EnclaveOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async report(caller: Caller, report: EnclaveReport): Promise<void> {
    const told = checked(report);
    const { generation, ...rest } = told;
    const detail = { ...rest, ...(generation === null ? {} : { generation }) };
    const subject: Subject = { action: "strongroom:ReportEnclave", detail };
    return performDecided(this.#core, caller, subject, () => {
      const node = this.#callingNode(caller);
      const id = enclaveRowId(node, told.enclave);
      if (this.#core.state.get("enclave", id) === undefined) this.#mustHaveRoom(node);
      const reportedAt = new Date(this.#core.journal.nowMs()).toISOString();
      const record: EnclaveRecord = { node, ...told, reportedAt };
      return { value: undefined, changes: [change("enclave", id, record)] };
    });
  }

  async list(caller: Caller, node?: string): Promise<readonly ReportedEnclave[]> {
    const detail = node === undefined ? {} : { node: node.slice(0, 64) };
    const subject: AccountSubject = { action: "strongroom:ListEnclaves", detail };
    return performOnAccount(this.#core, caller, subject, () => {
      if (node !== undefined) this.#mustBeNode(node);
      const found = [...this.#core.state.all("enclave")].filter(([, each]) => node === undefined || each.node === node);
      const inOrder = found.sort(([left], [right]) => (left < right ? -1 : 1));
      return { value: inOrder.map(([, each]) => ({ ...each, hostState: this.#hostState(each.node) })) };
    });
  }

  async forget(caller: Caller, node: string, enclave: string): Promise<void> {
    if (!enclaveIdPattern.test(enclave)) throw invalid("an enclave is named by 64 upper-case hex digits");
    const subject: AccountSubject = {
      action: "strongroom:ForgetEnclave",
      detail: { node: node.slice(0, 64), enclave },
    };
    return performOnAccount(this.#core, caller, subject, () => {
      this.#mustBeNode(node);
      const id = enclaveRowId(node, enclave);
      if (this.#core.state.get("enclave", id) === undefined)
        throw new CustodyError("ENCLAVE_NOT_FOUND", `${node} has told of no enclave ${enclave}`);
      return { value: undefined, changes: [change("enclave", id, null)] };
    });
  }

  /** @throws {CustodyError} `ACCESS_DENIED` for every caller that is not an enabled node. */
  #callingNode(caller: Caller): string {
    const node = nodeOf(this.#core, caller);
    if (node?.state === "enabled") return node.name;
    const deniedBy = node === undefined ? "nothing-allows" : "principal-disabled";
    throw new CustodyError("ACCESS_DENIED", "an enclave is told of by its host: an enabled node", undefined, {
      deniedBy,
    });
  }

  #hostState(node: string): ReportedEnclave["hostState"] {
    return this.#core.state.get("principal", node)?.state === "enabled" ? "enabled" : "revoked";
  }

  #mustBeNode(name: string): void {
    const { kind } = findPrincipal(this.#core, name);
    if (kind !== "node") throw new CustodyError("PRINCIPAL_NOT_FOUND", `${name} is a ${kind}, not a node`);
  }

  #mustHaveRoom(node: string): void {
    if (enclavesOf(this.#core, node).length >= maxEnclavesOfNode)
      throw new CustodyError("LIMIT_EXCEEDED", `a node tells of at most ${maxEnclavesOfNode} enclaves`);
  }
}

/** The removal of all that a node said of enclaves, for a node that is destroyed. */
export function withoutEnclaves(core: Core, node: string): StateChange[] {
  return enclavesOf(core, node).map(([id]) => change("enclave", id, null));
}

function enclavesOf(core: Core, node: string): [string, EnclaveRecord][] {
  return [...core.state.all("enclave")].filter(([, each]) => each.node === node);
}

/** A node's name holds no `/`. */
function enclaveRowId(node: string, enclave: string): string {
  return `${node}/${enclave}`;
}

/** The members that a report has, and no others: it goes on record and into state as it is. */
function checked(report: EnclaveReport): EnclaveReport {
  const { enclave, organisation, channel, chaincode, measurement, state, generation } = report;
  if (!enclaveIdPattern.test(enclave)) throw invalid("an enclave is named by 64 upper-case hex digits");
  for (const [what, name] of Object.entries({ organisation, channel, chaincode }))
    if (!enclaveNamePattern.test(name)) throw invalid(`${what} is not the name of one`);
  if (!enclaveMeasurementPattern.test(measurement)) throw invalid("a measurement has 64 or 96 upper-case hex digits");
  if (!enclaveStates.includes(state)) throw invalid(`an enclave is ${enclaveStates.join(", ")}`);
  if (generation !== null && !(Number.isInteger(generation) && generation >= 1 && generation <= 0xffff_ffff))
    throw invalid("a generation is a whole number from 1 to 2^32 - 1");
  return { enclave, organisation, channel, chaincode, measurement, state, generation };
}

function invalid(message: string): CustodyError {
  return new CustodyError("INPUT_INVALID", message);
}
