package engine

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// Source is a module to compile. It is only read while Compile runs.
type Source struct {
	// Name is for people: errors and log lines carry it.
	Name string
	// Module is uncompressed WebAssembly; see Inflate.
	Module []byte
	// Config is given to mesh_configure of each instance. A module that exports none accepts only an empty one.
	Config []byte
}

// Info describes a module.
type Info struct {
	// Digest is the SHA-256 of the uncompressed module, ConfigDigest that of its configuration, in hexadecimal.
	Digest, ConfigDigest string
	// Bytes is the size of the uncompressed module.
	Bytes int
	// Hooks that the module exports, in the order of their numbers.
	Hooks []policyabi.Hook
	// Imports as "module.name", sorted.
	Imports []string
	// MemoryMin is the pages that the module starts with, MemoryMax what it may grow to, within Limits.
	MemoryMin, MemoryMax uint32
	// Sections are the names of its custom sections.
	Sections []string
	// Configurable says whether it exports mesh_configure.
	Configurable bool
	// ABIMajor and ABIMinor are what the module was built for. Only running it tells: 0 before Compile.
	ABIMajor, ABIMinor uint16
}

// Inspect says what a module is without compiling or running it. An error is a *Refusal: such a module would be refused
// by Compile, too; that Inspect accepts one does not mean that Compile will.
func Inspect(module []byte) (Info, error) {
	info, _, err := inspect(Source{Module: module}, Limits{}.withDefaults(), FuelTable{}.withDefaults())
	return info, err
}

// maxFunctionBytes of the body of one function. wazero's compiler takes time that grows with the square of a function's
// blocks, and cannot be interrupted. The largest function that Go's compiler makes of its standard
// library has 51 KB.
const maxFunctionBytes = 128 << 10

// inspect parses, checks what can be checked without running anything, and meters.
func inspect(source Source, limits Limits, fuel FuelTable) (Info, *meter.Module, error) {
	if len(source.Module) > limits.ModuleBytes {
		return Info{}, nil, &Refusal{source.Name, RuleLimit,
			fmt.Sprintf("the module has %d bytes; at most %d are allowed", len(source.Module), limits.ModuleBytes)}
	}
	metered, err := meter.Rewrite(source.Module, meter.Options{
		Limits: meter.Limits{MaxMemoryPages: limits.MemoryPages, MaxModuleBytes: limits.ModuleBytes,
			MaxFunctionBytes: maxFunctionBytes},
		AllowImport:  allowedImport,
		HostCallCost: hostCallFuel,
		InitialFuel:  int64(fuel.Initialize),
	})
	if err != nil {
		return Info{}, nil, refusalOf(source.Name, err)
	}
	digest, config := sha256.Sum256(source.Module), sha256.Sum256(source.Config)
	info := Info{
		Digest: hex.EncodeToString(digest[:]), ConfigDigest: hex.EncodeToString(config[:]),
		Bytes:     len(source.Module),
		MemoryMin: metered.Memory.Min, MemoryMax: metered.Memory.Max,
		Sections: metered.CustomSections,
	}
	for _, i := range metered.Imports {
		if err := checkImport(i); err != nil {
			return Info{}, nil, &Refusal{source.Name, string(meter.RuleImport), err.Error()}
		}
		info.Imports = append(info.Imports, i.Module+"."+i.Name)
	}
	slices.Sort(info.Imports)
	info.Imports = slices.Compact(info.Imports)
	exports := make(map[string]bool)
	for _, e := range metered.Exports {
		exports[e.Name] = true
	}
	for _, hook := range callable {
		if exports[hook.Export()] {
			info.Hooks = append(info.Hooks, hook)
		}
	}
	info.Configurable = exports[policyabi.ExportConfigure]
	return info, metered, checkExports(source.Name, info, exports)
}

// checkExports refuses modules that cannot be policies, in the words of who wrote one.
func checkExports(policy string, info Info, exports map[string]bool) error {
	refuse := func(format string, args ...any) error {
		return &Refusal{policy, RuleExport, fmt.Sprintf(format, args...)}
	}
	if exports["_start"] && !exports[policyabi.ExportInitialize] {
		return refuse("it exports _start and not %s, so it is a program and not a library: build it as a reactor (Go: -buildmode=c-shared)", policyabi.ExportInitialize)
	}
	for _, name := range []string{policyabi.ExportMemory, policyabi.ExportABI, policyabi.ExportBuffer} {
		if !exports[name] {
			return refuse("it does not export %s", name)
		}
	}
	if len(info.Hooks) == 0 {
		return refuse("it exports no hook: one of %s, %s, %s", policyabi.ExportPlace, policyabi.ExportEvict, policyabi.ExportStatus)
	}
	return nil
}

// importable is hostFunctions for people.
const importable = "a policy may import " + policyabi.ImportLogModule + "." + policyabi.ImportLog +
	" and the functions of WASI that the runtimes of Go and Rust start with: no files, sockets or environment"

func refusalOf(policy string, err error) error {
	var refused *meter.Refusal
	if errors.As(err, &refused) {
		detail := fmt.Sprintf("%s (at byte %#x)", refused.Detail, refused.Offset)
		if refused.Rule == meter.RuleImport {
			detail += "; " + importable
		}
		return &Refusal{policy, string(refused.Rule), detail}
	}
	return &Refusal{policy, RuleInvalid, err.Error()}
}

// generation names a module together with its configuration: 12 hexadecimal digits.
func generation(i Info) string {
	sum := sha256.Sum256([]byte(i.Digest + i.ConfigDigest))
	return hex.EncodeToString(sum[:6])
}

var gzipMagic = []byte{0x1f, 0x8b}

// Inflate uncompresses gzip and passes anything else on as it is. More than limit bytes, of either, are refused before
// they are in memory.
func Inflate(data []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(data, gzipMagic) {
		if len(data) > limit {
			return nil, &Refusal{Rule: RuleLimit, Detail: fmt.Sprintf("%d bytes; at most %d are allowed", len(data), limit)}
		}
		return data, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, &Refusal{Rule: RuleInvalid, Detail: fmt.Sprintf("starts like gzip and is not: %v", err)}
	}
	module, err := io.ReadAll(io.LimitReader(reader, int64(limit)+1))
	if err != nil {
		return nil, &Refusal{Rule: RuleInvalid, Detail: fmt.Sprintf("inflate gzip: %v", err)}
	}
	if len(module) > limit {
		return nil, &Refusal{Rule: RuleLimit, Detail: fmt.Sprintf("%d bytes inflate to more than %d, which is what is allowed", len(data), limit)}
	}
	return module, nil
}
