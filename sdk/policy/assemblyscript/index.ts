// What `import ... from "wasmesh-policy"` means.
export * from "./assembly/index";
