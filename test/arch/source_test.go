package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/wasmesh/wasmesh"

// file is one Go file of the product.
type file struct {
	// path and dir are relative to the root, with slashes.
	path, dir string
	syntax    *ast.File
	lines     int
	generated bool
	test      bool
}

// imports answers the file's imports; those of this module relative to it, as "./host/route".
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if rest, ok := strings.CutPrefix(path, module+"/"); ok {
			path = "./" + rest
		}
		paths = append(paths, path)
	}
	return paths
}

var fileSet = token.NewFileSet()

// sources parses every Go file of the repository.
func sources(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "tools") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parse(root, path)
		files = append(files, parsed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("found only %d Go files under %s: the rules would check nothing", len(files), root)
	}
	return files
}

func parse(root, path string) (file, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	syntax, err := parser.ParseFile(fileSet, path, content, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	relative, err := filepath.Rel(root, path)
	if err != nil {
		return file{}, err
	}
	relative = filepath.ToSlash(relative)
	return file{
		path:      relative,
		dir:       filepath.ToSlash(filepath.Dir(relative)),
		syntax:    syntax,
		lines:     strings.Count(string(content), "\n"),
		generated: ast.IsGenerated(syntax),
		test:      strings.HasSuffix(relative, "_test.go"),
	}, nil
}

// under reports whether dir is tree or below it.
func under(dir, tree string) bool { return dir == tree || strings.HasPrefix(dir, tree+"/") }

func underAny(dir string, trees ...string) bool {
	for _, tree := range trees {
		if under(dir, tree) {
			return true
		}
	}
	return false
}
