package author

import (
	"archive/zip"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wasmesh/wasmesh/sdk/policy"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

//go:embed all:templates
var templates embed.FS

// language is one that policies are written in.
type language struct {
	name string
	// source is the file of a new policy, template the one it is made from.
	source, template string
}

var languages = []language{
	{"go", "policy.go", "policy.go.tmpl"},
	{"rust", "policy.rs", "policy.rs"},
	{"as", "policy.ts", "policy.ts"},
	{"c", "policy.c", "policy.c"},
}

// Languages are the names that Template.Language takes.
func Languages() []string {
	var names []string
	for _, l := range languages {
		names = append(names, l.name)
	}
	return names
}

// Hooks are the names that Template.Hook takes.
func Hooks() []string {
	return []string{policyabi.HookPlace.String(), policyabi.HookEvict.String(), policyabi.HookStatus.String()}
}

// Template says which policy is to be started.
type Template struct {
	// Dir is made, and its last element names the policy.
	Dir string
	// Language is one of Languages, Hook one of Hooks.
	Language, Hook string
}

// Name is that of the policy, and of its ConfigMap.
func (t Template) Name() string { return filepath.Base(t.Dir) }

// New makes a folder that builds and passes its scenarios. What exists is left alone.
func New(t Template) error {
	i := slices.IndexFunc(languages, func(l language) bool { return l.name == t.Language })
	if i < 0 {
		return fmt.Errorf("new policy: --lang %q is none of %s", t.Language, strings.Join(Languages(), ", "))
	}
	if wrong := validation.IsDNS1123Subdomain(t.Name()); len(wrong) > 0 {
		return fmt.Errorf("new policy: %q cannot be the name of a ConfigMap: %s", t.Name(), wrong[0])
	}
	if !slices.Contains(Hooks(), t.Hook) {
		return fmt.Errorf("new policy: --hook %q is none of %s", t.Hook, strings.Join(Hooks(), ", "))
	}
	switch _, err := os.Lstat(t.Dir); {
	case err == nil:
		return fmt.Errorf("new policy: %s exists already: choose another name, or remove it", t.Dir)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("new policy: %w", err)
	}
	if err := t.fill(languages[i]); err != nil {
		_ = os.RemoveAll(t.Dir) // Made here; what failed first is what matters.
		return fmt.Errorf("new policy: %w", err)
	}
	return nil
}

// fill makes the folder.
func (t Template) fill(l language) error {
	files := map[string]string{
		l.source: t.Hook + "/" + l.template,
		filepath.Join(scenariosDir, t.Name()+".yaml"): t.Hook + "/scenarios.yaml",
		"README.md": "README.md.tmpl",
	}
	if l.name == "go" {
		files["go.mod"] = "go.mod.tmpl"
		if err := unzip(filepath.Join(t.Dir, "sdk"), policy.Go); err != nil {
			return err
		}
	}
	for file, source := range files {
		if err := t.write(file, "templates/"+source); err != nil {
			return err
		}
	}
	return nil
}

func (t Template) write(file, source string) error {
	text, err := template.ParseFS(templates, source)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if err := text.Execute(&content, t); err != nil {
		return err
	}
	path := filepath.Join(t.Dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content.Bytes(), 0o644)
}

// unzip writes an archive of our own.
func unzip(dir string, packed []byte) error {
	archive, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return err
	}
	for _, file := range archive.File {
		path := filepath.Join(dir, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		content, err := fs.ReadFile(archive, file.Name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
