package arch

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"
)

const (
	maxFileLines     = 500
	maxFunctionLines = 80
)

// vague names say where things were put, not what they are.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "types", "shared"}

func TestSizes(t *testing.T) {
	type size struct {
		lines int
		what  string
	}
	var files, functions []size
	for _, f := range sources(t) {
		if f.generated || f.test {
			continue
		}
		files = append(files, size{f.lines, f.path})
		if f.lines > maxFileLines {
			t.Errorf("%s has %d lines, over %d: split it by meaning", f.path, f.lines, maxFileLines)
		}
		for _, declaration := range f.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := fileSet.Position(function.End()).Line - fileSet.Position(function.Pos()).Line + 1
			functions = append(functions, size{lines, f.path + " " + function.Name.Name})
			if lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, over %d", f.path, function.Name.Name, lines, maxFunctionLines)
			}
		}
	}
	for _, list := range [][]size{files, functions} {
		sort.Slice(list, func(i, j int) bool { return list[i].lines > list[j].lines })
		for _, s := range list[:min(5, len(list))] {
			t.Logf("%4d lines: %s", s.lines, s.what)
		}
	}
}

func TestPackagesAreDocumentedAndNamed(t *testing.T) {
	documented := make(map[string]bool)
	for _, f := range sources(t) {
		if f.test || f.generated && f.syntax.Doc == nil {
			continue
		}
		if slices.Contains(vague, path.Base(f.dir)) || slices.Contains(vague, f.syntax.Name.Name) {
			t.Errorf("%s: the name of package %s does not say what it is", f.path, f.dir)
		}
		documented[f.dir] = documented[f.dir] || f.syntax.Doc != nil && len(strings.TrimSpace(f.syntax.Doc.Text())) > 40
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment that says what it owns and who calls it", dir)
		}
	}
}

func TestNoSkippedTests(t *testing.T) {
	for _, f := range sources(t) {
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && strings.HasPrefix(selector(call.Fun), "t.Skip") {
				t.Errorf("%s skips a test: a test that needs a tool installs it or fails", fileSet.Position(call.Pos()))
			}
			return true
		})
	}
}

// effects lists what a pure file does to the world: goroutines, and reading the clock.
func effects(f file) []string {
	var found []string
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			found = append(found, fmt.Sprintf("line %d starts a goroutine", fileSet.Position(n.Pos()).Line))
		case *ast.CallExpr:
			switch name := selector(n.Fun); name {
			case "time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.AfterFunc":
				found = append(found, fmt.Sprintf("line %d calls %s", fileSet.Position(n.Pos()).Line, name))
			}
		}
		return true
	})
	return found
}

// selector is "time.Now" for that call, empty for other shapes.
func selector(expression ast.Expr) string {
	s, ok := expression.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + s.Sel.Name
}
