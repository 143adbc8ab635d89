// What every policy exports besides its hooks. asc takes this file as a second entry, beside the policy:
//
//     asc policy.ts node_modules/wasmesh-policy/assembly/exports.ts --runtime stub --use abort= -O3 -o policy.wasm

// By the package's name, as policies import it: a file that is imported in two ways is there twice.
import { ABI_VERSION } from "wasmesh-policy/assembly/abi";
import { reserve } from "wasmesh-policy/assembly/memory";

/** The ABI's version that the policy is built for. */
export function mesh_abi(): i32 {
  return ABI_VERSION;
}

/** Room for a request. */
export function mesh_buf(size: i32): usize {
  return reserve(size);
}
