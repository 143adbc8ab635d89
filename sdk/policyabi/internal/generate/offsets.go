package main

import (
	"fmt"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

// offsetsFile records everything that is published. Lines are only ever added to it.
const offsetsFile = "sdk/policyabi/offsets.txt"

// offsets is one line for each thing that modules in the field rely on. Sizes of contexts and rows are not among them: they
// grow, and requests carry them.
func offsets(abi *schema.Schema) string {
	var b strings.Builder
	fmt.Fprintf(&b, "abi major %d\nabi magic %#x\n", abi.ABI.Major, abi.ABI.Magic)
	for _, e := range abi.Exports {
		fmt.Fprintf(&b, "export %s %s\n", e.Name, e.Signature)
	}
	for _, i := range abi.Imports {
		fmt.Fprintf(&b, "import %s.%s %s\n", i.Module, i.Name, i.Signature)
	}
	for _, e := range abi.Enums {
		for _, v := range e.Values {
			fmt.Fprintf(&b, "enum %s.%s = %d\n", e.Name, v.Name, v.Value)
		}
	}
	for _, f := range abi.Flags {
		for _, v := range f.Values {
			fmt.Fprintf(&b, "flag %s.%s = bit %d of %s\n", f.Name, v.Name, v.Bit, f.Type)
		}
	}
	for _, s := range abi.Structs {
		for _, f := range s.Fields {
			if !f.Reserved() {
				fmt.Fprintf(&b, "field %s.%s at %d %s\n", s.Name, f.Name, f.Offset, meaning(f))
			}
		}
		if s.Answer {
			fmt.Fprintf(&b, "answer %s size %d\n", s.Name, s.Size)
		}
	}
	return b.String()
}

// meaning of a field's bytes.
func meaning(f schema.Field) string {
	switch {
	case f.Enum != "":
		return f.Type + " " + f.Enum
	case f.Flag != "":
		return f.Type + " " + f.Flag
	case f.Unit != "":
		return f.Type + " " + f.Unit
	}
	return f.Type
}

// keeps returns an error when the schema changes or drops a line of the record, or fills a hole between published fields.
func keeps(record string, abi *schema.Schema) error {
	now := map[string]bool{}
	for line := range strings.SplitSeq(offsets(abi), "\n") {
		now[line] = true
	}
	for line := range strings.SplitSeq(record, "\n") {
		if !now[line] {
			return fmt.Errorf("%s publishes %q, and %s no longer says so: modules in the field rely on it. Append a new field or value instead",
				offsetsFile, line, source)
		}
	}
	return nil
}
