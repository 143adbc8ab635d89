package schema

import (
	"strings"
	"testing"
)

const header = `
abi: {major: 1, minor: 0, magic: 1}
enums: [{name: E, values: [{name: A, value: 1}]}]
structs:
  - {name: Header, fields: [{name: magic, type: u64}]}
`

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":    {header + "more: 1", "more"},
		"unaligned":      {header + "  - {name: S, fields: [{name: a, type: u16}, {name: b, type: u32}]}", "S: field b would be at offset 2"},
		"ragged":         {header + "  - {name: S, fields: [{name: a, type: u32}]}", "S has 4 bytes"},
		"empty":          {header + "  - {name: S}", "S has 0 bytes"},
		"type":           {header + "  - {name: S, fields: [{name: a, type: f64}]}", "f64"},
		"no enum":        {header + "  - {name: S, fields: [{name: a, type: u16, enum: F}, {name: b, type: u16}, {name: c, type: u32}]}", "field a must be a u16 of an enum"},
		"wide enum":      {header + "  - {name: S, fields: [{name: a, type: u64, enum: E}]}", "field a must be a u16"},
		"flags nowhere":  {header + "flags: [{name: F, values: []}]", "no field holds them"},
		"bit too high":   {header + "  - {name: S, fields: [{name: a, type: u32, flags: F}, {name: b, type: u32}]}\nflags: [{name: F, values: [{name: A, bit: 32}]}]", "bit 32"},
		"flags of u64":   {header + "  - {name: S, fields: [{name: a, type: u64, flags: F}]}\nflags: [{name: F, values: []}]", "must be u16 or u32"},
		"value 0":        {strings.Replace(header, "value: 1", "value: 0", 1), "value 0"},
		"no header":      {strings.Replace(header, "Header", "Other", 1), "no struct Header"},
		"hook of no row": {header + "exports: [{name: mesh_a, hook: A}]", "hook A has no struct AContext"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestLayout(t *testing.T) {
	s, err := Parse([]byte(header + "  - {name: S, fields: [{name: a, type: u32}, {name: b, type: u16, enum: E}, {name: c, type: u16}, {name: d, type: i64}]}"))
	if err != nil {
		t.Fatal(err)
	}
	got := s.StructNamed("S")
	for i, want := range []int{0, 4, 6, 8} {
		if got.Fields[i].Offset != want {
			t.Errorf("offset of %s is %d, want %d", got.Fields[i].Name, got.Fields[i].Offset, want)
		}
	}
	if got.Size != 16 {
		t.Errorf("size %d, want 16", got.Size)
	}
}
