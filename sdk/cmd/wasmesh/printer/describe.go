package printer

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Describe writes an object as `kubectl describe` writes a custom resource: name and labels first, then every field with
// its words apart.
func Describe(w io.Writer, o Object) {
	metadata, _ := o["metadata"].(map[string]any)
	meta := Object(metadata)
	fmt.Fprintf(w, "Name:         %s\n", meta.Text("name"))
	fmt.Fprintf(w, "Namespace:    %s\n", meta.Text("namespace"))
	pairs(w, "Labels:       ", meta["labels"])
	pairs(w, "Annotations:  ", meta["annotations"])
	fmt.Fprintf(w, "API Version:  %s\n", o.Text("apiVersion"))
	fmt.Fprintf(w, "Kind:         %s\n", o.Text("kind"))
	rest := make(map[string]any, len(o))
	for key, value := range o {
		switch key {
		case "apiVersion", "kind":
		case "metadata":
			rest[key] = without(metadata, "name", "namespace", "labels", "annotations", "managedFields")
		default:
			rest[key] = value
		}
	}
	nested(w, rest, "")
}

func pairs(w io.Writer, title string, value any) {
	fields, _ := value.(map[string]any)
	if len(fields) == 0 {
		fmt.Fprintf(w, "%s<none>\n", title)
		return
	}
	for i, key := range sorted(fields) {
		if i > 0 {
			title = strings.Repeat(" ", len(title))
		}
		fmt.Fprintf(w, "%s%s: %v\n", title, key, fields[key])
	}
}

func nested(w io.Writer, fields map[string]any, indent string) {
	width := 0
	for key, value := range fields {
		if !compound(value) {
			width = max(width, len(words(key)))
		}
	}
	for _, key := range sorted(fields) {
		switch value := fields[key].(type) {
		case map[string]any:
			if len(value) > 0 {
				fmt.Fprintf(w, "%s%s:\n", indent, words(key))
				nested(w, value, indent+"  ")
			}
		case []any:
			fmt.Fprintf(w, "%s%s:\n", indent, words(key))
			items(w, value, indent+"  ")
		default:
			fmt.Fprintf(w, "%s%-*s  %v\n", indent, width+1, words(key)+":", value)
		}
	}
}

func items(w io.Writer, list []any, indent string) {
	for _, item := range list {
		if fields, ok := item.(map[string]any); ok {
			nested(w, fields, indent)
			continue
		}
		fmt.Fprintf(w, "%s%v\n", indent, item)
	}
}

func compound(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// words is "lastFailureInfo" as "Last Failure Info".
func words(key string) string {
	var b strings.Builder
	for i, r := range key {
		switch {
		case i == 0:
			r = unicode.ToUpper(r)
		case unicode.IsUpper(r) && !unicode.IsUpper(rune(key[i-1])):
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func without(fields map[string]any, keys ...string) map[string]any {
	kept := make(map[string]any, len(fields))
	for key, value := range fields {
		if !slices.Contains(keys, key) {
			kept[key] = value
		}
	}
	return kept
}

func sorted(fields map[string]any) []string {
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
