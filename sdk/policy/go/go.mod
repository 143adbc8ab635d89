module github.com/wasmesh/wasmesh/sdk/policy/go

go 1.24
