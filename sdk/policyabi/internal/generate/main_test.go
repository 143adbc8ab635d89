package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

const root = "../../../.."

func abi(t *testing.T) *schema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, source))
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCommittedFilesAreGenerated fails when the schema or a template was changed and the rest was not.
func TestCommittedFilesAreGenerated(t *testing.T) {
	files, err := generate(abi(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate ./sdk/policyabi (%v)", name, err)
		}
		if lines := bytes.Count(want, []byte("\n")); strings.HasSuffix(name, ".go") && lines > 500 {
			t.Errorf("%s has %d lines, over 500", name, lines)
		}
	}
	for _, pattern := range []string{"sdk/policyabi/zz_generated*", "sdk/policyabi/testdata/*.*", "sdk/policy/go/zz_generated*", "sdk/policy/go/*/zz_generated*", "sdk/policy/go/internal/*/zz_generated*"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, _ := filepath.Rel(root, path)
			if files[filepath.ToSlash(name)] == nil {
				t.Errorf("%s is not generated any more: remove it", name)
			}
		}
	}
}

// TestPublishedOffsetsStay fails when anything that modules in the field rely on is changed or gone. Do not edit
// offsets.txt by hand to please it.
func TestPublishedOffsetsStay(t *testing.T) {
	record, err := os.ReadFile(filepath.Join(root, offsetsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := keeps(string(record), abi(t)); err != nil {
		t.Error(err)
	}
}

func TestOffsetsRefuseChanges(t *testing.T) {
	field := func(s *schema.Schema, name string, i int) *schema.Field { return &s.StructNamed(name).Fields[i] }
	for name, change := range map[string]func(*schema.Schema){
		"renamed":    func(s *schema.Schema) { field(s, "PlaceRow", 0).Name = "other" },
		"retyped":    func(s *schema.Schema) { field(s, "EvictRow", 2).Type = "u64" },
		"other unit": func(s *schema.Schema) { field(s, "EvictRow", 2).Unit = "KiB" },
		"other enum": func(s *schema.Schema) { field(s, "StatusContext", 2).Enum = "ModelState" },
		"swapped":    func(s *schema.Schema) { a, b := field(s, "PlaceRow", 4), field(s, "PlaceRow", 5); *a, *b = *b, *a },
		"inserted": func(s *schema.Schema) {
			r := s.StructNamed("EvictRow")
			r.Fields = slices.Insert(r.Fields, 0, schema.Field{Name: "x", Type: "u64"})
		},
		"dropped":    func(s *schema.Schema) { r := s.StructNamed("EvictContext"); r.Fields = r.Fields[1:] },
		"value":      func(s *schema.Schema) { v := s.EnumNamed("Reason").Values; v[0].Name, v[1].Name = v[1].Name, v[0].Name },
		"value gone": func(s *schema.Schema) { e := s.EnumNamed("Reason"); e.Values = e.Values[:len(e.Values)-1] },
		"bit":        func(s *schema.Schema) { s.FlagsNamed("CopyFlag").Values[0].Bit = 9 },
		"answer grows": func(s *schema.Schema) {
			r := s.StructNamed("PlaceAnswer")
			r.Fields = append(r.Fields, schema.Field{Name: "x", Type: "u64"})
		},
		"export": func(s *schema.Schema) { s.Exports[2].Name = "mesh_version" },
	} {
		t.Run(name, func(t *testing.T) {
			before := offsets(abi(t))
			s := abi(t)
			for i := range s.Enums {
				s.Enums[i].Values = slices.Clone(s.Enums[i].Values)
			}
			change(s)
			if err := s.Layout(); err != nil {
				t.Fatal(err)
			}
			if err := keeps(before, s); err == nil {
				t.Error("the record of offsets does not notice")
			}
		})
	}
	later, err := newer(abi(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := keeps(offsets(abi(t)), later); err != nil {
		t.Errorf("appended fields are refused: %v", err)
	}
}
