package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

// vectorRows is how many rows a vector has. The second has no name.
const vectorRows = 3

// vectors are requests and answers in bytes, beside what a reader of this schema sees in them. They are made from the
// schema field by field, so that no codec is compared with itself:
//
//	HOOK.bin         as written by this version
//	HOOK-newer.bin   as written by one that has appended fields to the header, the context and the row
//	HOOK-older.bin   as written by one that knew less of them
//	HOOK-answer.bin  an answer
func vectors(dir string, abi, older, newer *schema.Schema) map[string][]byte {
	files := map[string][]byte{}
	for _, hook := range abi.Hooks() {
		name := dir + "/" + strings.ToLower(hook)
		for suffix, writer := range map[string]*schema.Schema{"": abi, "-older": older, "-newer": newer} {
			files[name+suffix+".bin"] = requestVector(writer, hook)
			files[name+suffix+".txt"] = []byte(requestText(abi, writer, hook))
		}
		files[name+"-answer.bin"], files[name+"-answer.txt"] = answerVector(abi, hook)
	}
	return files
}

// newer is a later minor version of the schema.
func newer(abi *schema.Schema) (*schema.Schema, error) {
	later := copyOf(abi)
	later.ABI.Minor++
	for i := range later.Structs {
		s := &later.Structs[i]
		if s.Answer {
			continue
		}
		s.Fields = append(s.Fields, schema.Field{
			Name: fmt.Sprintf("added_%d_%s", later.ABI.Minor, snake(s.Name)), Type: "i64", Doc: "of a later version",
		})
	}
	return later, later.Layout()
}

// older knew about half of each context and row. There has been no such version: it stands for hosts that are older than
// the module that they ask.
func older(abi *schema.Schema) (*schema.Schema, error) {
	earlier := copyOf(abi)
	for i := range earlier.Structs {
		s := &earlier.Structs[i]
		if s.Answer || s.Name == "Header" {
			continue
		}
		for n, f := range s.Fields {
			if f.End() >= s.Size/2 && f.End()%8 == 0 {
				s.Fields = s.Fields[:n+1]
				break
			}
		}
	}
	return earlier, earlier.Layout()
}

func copyOf(abi *schema.Schema) *schema.Schema {
	c := *abi
	c.Structs = append([]schema.Struct(nil), abi.Structs...)
	for i := range c.Structs {
		c.Structs[i].Fields = append([]schema.Field(nil), c.Structs[i].Fields...)
	}
	c.Flags = append([]schema.Flags(nil), abi.Flags...)
	return &c
}

// value is some value that the field may have, another one for each field and row.
func value(abi *schema.Schema, s *schema.Struct, f schema.Field, row int) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s.%s/%d", s.Name, f.Name, row))
	v := binary.LittleEndian.Uint64(sum[:])
	switch {
	case f.Reserved():
		return 0
	case f.Enum != "":
		values := abi.EnumNamed(f.Enum).Values
		return uint64(values[v%uint64(len(values))].Value)
	case f.Flag != "":
		mask := uint64(0)
		for _, bit := range abi.FlagsNamed(f.Flag).Values {
			mask |= 1 << bit.Bit
		}
		return v & mask
	case f.Max > 0:
		return v % (f.Max + 1)
	}
	return v >> (64 - 8*f.Bytes())
}

func nameOf(s *schema.Struct, row int) string {
	if row == 1 || hasName(s) == nil {
		return ""
	}
	return fmt.Sprintf("%s-%d-ü", strings.ToLower(s.Name), row)
}

// requestVector encodes a request the slow way.
func requestVector(abi *schema.Schema, hook string) []byte {
	header, context, row := abi.StructNamed("Header"), abi.StructNamed(hook+"Context"), abi.StructNamed(hook+"Row")
	answers := vectorRows
	if hook == "Status" {
		answers = 1
	}
	var parts, names bytes.Buffer
	for i := -1; i < vectorRows; i++ {
		s := row
		if i < 0 {
			s = context
		}
		name := nameOf(s, max(i, 0))
		for _, f := range s.Fields {
			v := value(abi, s, f, max(i, 0))
			switch f.Name {
			case "name_off":
				v = uint64(names.Len())
			case "name_len":
				v = uint64(len(name))
			}
			write(&parts, f, v)
		}
		names.WriteString(name)
	}
	strings := header.Size + parts.Len()
	response := (strings + names.Len() + 7) / 8 * 8
	room := answers * abi.StructNamed(hook+"Answer").Size
	computed := map[string]int{
		"magic": int(abi.ABI.Magic), "abi_major": int(abi.ABI.Major), "abi_minor": int(abi.ABI.Minor),
		"header_size": header.Size, "total_len": response + room, "hook": hookValue(abi, hook), "row_count": vectorRows,
		"context_off": header.Size, "context_size": context.Size,
		"rows_off": header.Size + context.Size, "row_size": row.Size,
		"strings_off": strings, "strings_len": names.Len(), "response_off": response, "response_cap": room,
	}
	var out bytes.Buffer
	for _, f := range header.Fields {
		v := value(abi, header, f, 0)
		if f.Computed {
			v = uint64(computed[f.Name])
		}
		write(&out, f, v)
	}
	out.Write(parts.Bytes())
	out.Write(names.Bytes())
	out.Write(make([]byte, response+room-out.Len()))
	return out.Bytes()
}

func hookValue(abi *schema.Schema, hook string) int {
	for _, v := range abi.EnumNamed("Hook").Values {
		if v.Name == hook {
			return int(v.Value)
		}
	}
	return 0
}

func write(b *bytes.Buffer, f schema.Field, v uint64) {
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], v)
	b.Write(bytes[:f.Bytes()])
}

// requestText is what a reader of one version sees of a writer of another.
func requestText(reader, writer *schema.Schema, hook string) string {
	var b strings.Builder
	seen := func(label, name string, row int) {
		mine, theirs := reader.StructNamed(name), writer.StructNamed(name)
		known := map[string]bool{}
		for _, f := range theirs.Fields {
			known[f.Name] = true
		}
		for _, f := range fillable(mine) {
			v := uint64(0)
			if known[f.Name] {
				v = value(reader, mine, f, row)
			}
			fmt.Fprintf(&b, "%s.%s = %s\n", label, f.Name, decimal(f, v))
		}
		if hasName(mine) != nil {
			text := ""
			if known["name_len"] {
				text = nameOf(mine, row)
			}
			fmt.Fprintf(&b, "%s.name = %s\n", label, text)
		}
	}
	seen("header", "Header", 0)
	seen("context", hook+"Context", 0)
	for i := range vectorRows {
		seen(fmt.Sprintf("row[%d]", i), hook+"Row", i)
	}
	return b.String()
}

// answerVector is an answer, best row last.
func answerVector(abi *schema.Schema, hook string) ([]byte, []byte) {
	s := abi.StructNamed(hook + "Answer")
	n := vectorRows
	if hook == "Status" {
		n = 1
	}
	var b bytes.Buffer
	var text strings.Builder
	for i := range n {
		for _, f := range s.Fields {
			v := value(abi, s, f, i)
			if f.Name == "row" {
				v = uint64(n - 1 - i)
			}
			write(&b, f, v)
			if !f.Reserved() {
				fmt.Fprintf(&text, "answer[%d].%s = %s\n", i, f.Name, decimal(f, v))
			}
		}
	}
	return b.Bytes(), []byte(text.String())
}

func decimal(f schema.Field, v uint64) string {
	switch f.Type {
	case "i32":
		return fmt.Sprint(int32(v))
	case "i64":
		return fmt.Sprint(int64(v))
	}
	return fmt.Sprint(v)
}
