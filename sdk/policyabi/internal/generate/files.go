package main

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"strings"
	"text/template"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

//go:embed templates
var templates embed.FS

// data of a template.
type data struct {
	*schema.Schema
	// Package that is written, and the hook when the file is about one.
	Package string
	Hook    string
	// Qualifier goes before the names of enums and flags: "" in the package that has them.
	Qualifier string
}

// Version is what mesh_abi returns.
func (d data) Version() int { return int(d.ABI.Major)<<16 | int(d.ABI.Minor) }

// output is one file of one template.
type output struct {
	path     string
	template string
	data     data
}

// generate returns the content of every file by its path in the repository.
func generate(abi *schema.Schema) (map[string][]byte, error) {
	past, err := older(abi)
	if err != nil {
		return nil, err
	}
	return generateAfter(past, abi)
}

// generateAfter is generate with the version whose hosts are still there.
func generateAfter(past, abi *schema.Schema) (map[string][]byte, error) {
	future, err := newer(abi)
	if err != nil {
		return nil, err
	}
	files := vectors("sdk/policyabi/testdata", abi, past, future)
	files[offsetsFile] = []byte(offsets(abi))
	plain := data{Schema: abi}
	outputs := []output{
		{"sdk/policy/c/wasmesh_abi.h", "c.tmpl", plain},
		{"sdk/policy/rust/src/abi.rs", "rust.tmpl", plain},
		{"sdk/policy/assemblyscript/assembly/abi.ts", "as.tmpl", plain},
		{"docs/policy-abi.md", "docs.tmpl", plain},
	}
	outputs = append(outputs, goHost("sdk/policyabi", data{Schema: abi, Package: "policyabi"})...)
	outputs = append(outputs, goGuest("sdk/policy/go", data{Schema: abi, Package: "policy"})...)
	for _, o := range outputs {
		content, err := render(o)
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", o.path, err)
		}
		files[o.path] = content
	}
	return files, nil
}

// goHost is the host's codec and views.
func goHost(dir string, d data) []output {
	outputs := []output{
		{dir + "/zz_generated_enums.go", "go_enums.tmpl", d},
		{dir + "/zz_generated_layout.go", "go_layout.tmpl", d},
		{dir + "/zz_generated_header.go", "go_header.tmpl", d},
	}
	for _, hook := range d.Hooks() {
		d.Hook = hook
		name := dir + "/zz_generated_" + strings.ToLower(hook)
		outputs = append(outputs,
			output{name + ".go", "go_request.tmpl", d},
			output{name + "_view.go", "go_view.tmpl", d},
			output{name + "_answer.go", "go_answer.tmpl", d})
	}
	return outputs
}

// goGuest is the accessors of the Go SDK, and its package for each hook.
func goGuest(dir string, d data) []output {
	outputs := []output{
		{dir + "/zz_generated_enums.go", "go_enums.tmpl", d},
		{dir + "/zz_generated_version.go", "go_guest_layout.tmpl", d},
		{dir + "/internal/wire/zz_generated.go", "go_guest_wire.tmpl", d},
	}
	test := d
	test.Package, test.Qualifier = "policytest", "policy."
	outputs = append(outputs, output{dir + "/policytest/zz_generated_header.go", "go_policytest_header.tmpl", test})
	for _, hook := range d.Hooks() {
		d.Hook = hook
		name := strings.ToLower(hook)
		test.Hook = hook
		guest := test
		guest.Package = name
		outputs = append(outputs,
			output{dir + "/" + name + "/zz_generated.go", "go_guest_hook.tmpl", guest},
			output{dir + "/" + name + "/zz_generated_request.go", "go_guest.tmpl", guest},
			output{dir + "/" + name + "/zz_generated_wasm.go", "go_guest_export.tmpl", guest},
			output{dir + "/policytest/zz_generated_" + name + ".go", "go_policytest.tmpl", test})
	}
	return outputs
}

func render(o output) ([]byte, error) {
	t, err := template.New(o.template).Funcs(functions(o.data)).ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, o.data); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(o.path, ".go") {
		return out.Bytes(), nil
	}
	formatted, err := format.Source(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w in:\n%s", err, out.Bytes())
	}
	return formatted, nil
}
