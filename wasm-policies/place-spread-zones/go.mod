module github.com/wasmesh/wasmesh/wasm-policies/place-spread-zones

go 1.24

require github.com/wasmesh/wasmesh/sdk/policy/go v0.0.0

replace github.com/wasmesh/wasmesh/sdk/policy/go => ../../sdk/policy/go
