package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

// TestCAccessors compiles a program that prints all that the C accessors read in a request, in the words of the golden
// text, and writes the golden answer. With the next version's header it also reads what hosts of this version write.
func TestCAccessors(t *testing.T) {
	now := abi(t)
	past, err := older(now)
	if err != nil {
		t.Fatal(err)
	}
	next, err := newer(now)
	if err != nil {
		t.Fatal(err)
	}
	for name, versions := range map[string][2]*schema.Schema{"this version": {past, now}, "the next version": {now, next}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files, err := generateAfter(versions[0], versions[1])
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range files {
				if strings.HasSuffix(name, ".h") || strings.HasSuffix(name, ".bin") {
					writeFile(t, filepath.Join(dir, filepath.Base(name)), content)
				}
			}
			program := compileDump(t, dir, versions[1])
			for _, hook := range versions[1].Hooks() {
				for _, kind := range []string{"", "-older", "-newer"} {
					vector := strings.ToLower(hook) + kind
					want := string(files["sdk/policyabi/testdata/"+vector+".txt"])
					if kind == "" {
						want += fmt.Sprintf("answer %x\n", files["sdk/policyabi/testdata/"+strings.ToLower(hook)+"-answer.bin"])
					}
					got, err := exec.Command(program, hook, filepath.Join(dir, vector+".bin")).CombinedOutput()
					if err != nil || !strings.HasPrefix(string(got), want) {
						t.Errorf("%s: %v, read\n%s\nwant\n%s", vector, err, got, want)
					}
				}
			}
			refuses(t, program, dir)
		})
	}
}

// refuses changes words of a request's header.
func refuses(t *testing.T, program, dir string) {
	good, err := os.ReadFile(filepath.Join(dir, "place.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		offset int
		word   []byte
		want   string
	}{
		"magic":         {0, []byte{0, 0, 0, 0}, "refused -1\n"},
		"major":         {4, []byte{2, 0}, "refused -2\n"},
		"hook":          {16, []byte{2, 0}, "refused -3\n"},
		"header size":   {8, []byte{72, 0, 0, 0}, "refused -1\n"},
		"total":         {12, []byte{0, 1, 0, 0}, "refused -1\n"},
		"rows":          {20, []byte{255, 255, 255, 255}, "refused -1\n"},
		"one row more":  {20, []byte{4, 0, 0, 0}, "refused -1\n"},
		"context":       {48, []byte{248, 255, 255, 255}, "refused -1\n"},
		"context size":  {52, []byte{255, 255, 255, 255}, "refused -1\n"},
		"row size":      {60, []byte{0, 0, 0, 0}, "refused -1\n"},
		"row size odd":  {60, []byte{9, 0, 0, 0}, "refused -1\n"},
		"row size huge": {60, []byte{248, 255, 255, 255}, "refused -1\n"},
		"strings":       {64, []byte{255, 255, 255, 255}, "refused -1\n"},
		"strings size":  {68, []byte{255, 255, 255, 255}, "refused -1\n"},
		"response":      {72, []byte{248, 255, 255, 255}, "refused -1\n"},
		"response room": {76, []byte{40, 0, 0, 0}, "refused -1\n"},
	} {
		bad := bytes.Clone(good)
		copy(bad[c.offset:], c.word)
		path := filepath.Join(dir, "bad.bin")
		writeFile(t, path, bad)
		if got, err := exec.Command(program, "Place", path).CombinedOutput(); err != nil || string(got) != c.want {
			t.Errorf("%s: %v, got %q, want %q", name, err, got, c.want)
		}
	}
}

func compileDump(t *testing.T, dir string, abi *schema.Schema) string {
	t.Helper()
	writeFile(t, filepath.Join(dir, "dump.c"), []byte(dumpC(abi)))
	compiler, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := append(strings.Fields(string(compiler)), "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-I", dir,
		"-o", filepath.Join(dir, "dump"), filepath.Join(dir, "dump.c"))
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	return filepath.Join(dir, "dump")
}

// dumpC is the program: dump HOOK FILE.
func dumpC(abi *schema.Schema) string {
	var b strings.Builder
	b.WriteString(`#include "wasmesh_abi.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
static uint64_t buffer[1 << 12];
int main(int argc, char **argv) {
  if (argc != 3) return 2;
  FILE *f = fopen(argv[2], "rb");
  if (!f) return 3;
  uint32_t len = (uint32_t)fread(buffer, 1, sizeof buffer, f);
  uint8_t *at = (uint8_t *)buffer;
  mesh_request r;
  int32_t refused;
  fclose(f);
`)
	printing := func(label, call string, fields []schema.Field) {
		for _, f := range fields {
			fmt.Fprintf(&b, "    printf(\"%s.%s = %%\" %s \"\\n\", %s);\n", label, f.Name, printMacro(f), fmt.Sprintf(call, f.Name))
		}
	}
	for _, hook := range abi.Hooks() {
		h := strings.ToLower(hook)
		answer := abi.StructNamed(hook + "Answer")
		fmt.Fprintf(&b, "  if (!strcmp(argv[1], %q)) {\n", hook)
		fmt.Fprintf(&b, "    if ((refused = mesh_%s_open(&r, at, len))) return printf(\"refused %%\" PRId32 \"\\n\", refused) < 0;\n", h)
		printing("header", "mesh_header_%s(&r)", fillable(abi.StructNamed("Header")))
		printing("context", "mesh_"+h+"_%s(&r)", fillable(abi.StructNamed(hook+"Context")))
		fmt.Fprintf(&b, "    printf(\"context.name = %%.*s\\n\", (int)mesh_%s_name(&r).len, mesh_%s_name(&r).at);\n", h, h)
		for i := range vectorRows {
			row := fmt.Sprintf("mesh_%s_row_at(&r, %d)", h, i)
			printing(fmt.Sprintf("row[%d]", i), "mesh_"+h+"_row_%s("+row+")", fillable(abi.StructNamed(hook+"Row")))
			fmt.Fprintf(&b, "    printf(\"row[%d].name = %%.*s\\n\", (int)mesh_%s_row_name(%s).len, mesh_%s_row_name(%s).at);\n", i, h, row, h, row)
		}
		b.WriteString("    mesh_answers a = mesh_answers_of(&r);\n")
		verb := "add"
		answers := vectorRows
		if hook == "Status" {
			verb, answers = "set", 1
		}
		for i := range answers {
			fmt.Fprintf(&b, "    mesh_%s_%s(&a", h, verb)
			for _, f := range fillable(answer) {
				v := value(abi, answer, f, i)
				if f.Name == "row" {
					v = uint64(answers - 1 - i)
				}
				fmt.Fprintf(&b, ", %s", decimal(f, v))
			}
			b.WriteString(");\n")
		}
		b.WriteString("    printf(\"answer \");\n    for (uint32_t i = 0; i < a.len; i++) printf(\"%02x\", a.at[i]);\n    printf(\"\\n\");\n    return 0;\n  }\n")
	}
	b.WriteString("  return 4;\n}\n")
	return b.String()
}

func printMacro(f schema.Field) string {
	if f.Type[0] == 'i' {
		return "PRId" + f.Type[1:]
	}
	return "PRIu" + f.Type[1:]
}
