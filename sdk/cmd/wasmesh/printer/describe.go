package printer

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Describe writes an object as `kubectl describe` writes a custom resource: name and labels first, then every field with
// its words apart, values aligned from line to line as far as only values follow each other.
func Describe(w io.Writer, o Object) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	metadata, _ := o["metadata"].(map[string]any)
	meta := Object(metadata)
	fmt.Fprintf(table, "Name:\t%s\n", meta.Text("name"))
	fmt.Fprintf(table, "Namespace:\t%s\n", meta.Text("namespace"))
	pairs(table, "Labels:", meta["labels"])
	pairs(table, "Annotations:", meta["annotations"])
	fmt.Fprintf(table, "API Version:\t%s\n", o.Text("apiVersion"))
	fmt.Fprintf(table, "Kind:\t%s\n", o.Text("kind"))
	rest := without(o, "apiVersion", "kind")
	rest["metadata"] = without(metadata, "name", "namespace", "labels", "annotations", "managedFields")
	nested(table, rest, "")
	return table.Flush() // the first error of any write
}

func pairs(w io.Writer, title string, value any) {
	fields, _ := value.(map[string]any)
	if len(fields) == 0 {
		fmt.Fprintf(w, "%s\t<none>\n", title)
		return
	}
	for _, key := range sorted(fields) {
		fmt.Fprintf(w, "%s\t%s: %v\n", title, key, fields[key])
		title = ""
	}
}

func nested(w io.Writer, fields map[string]any, indent string) {
	for _, key := range sorted(fields) {
		switch value := fields[key].(type) {
		case map[string]any:
			fmt.Fprintf(w, "%s%s:\n", indent, words(key))
			nested(w, value, indent+"  ")
		case []any:
			fmt.Fprintf(w, "%s%s:\n", indent, words(key))
			items(w, value, indent+"  ")
		default:
			fmt.Fprintf(w, "%s%s:\t%v\n", indent, words(key), value)
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

// acronyms that kubectl keeps in capitals.
var acronyms = []string{"API", "URL", "UID", "GUID", "OSB"}

// words is "lastFailureInfo" as "Last Failure Info" and "restUrl" as "Rest URL".
func words(key string) string {
	var split []string
	start := 0
	for i, r := range key {
		if i > 0 && unicode.IsUpper(r) && !unicode.IsUpper(rune(key[i-1])) {
			split = append(split, key[start:i])
			start = i
		}
	}
	split = append(split, key[start:])
	for i, word := range split {
		if upper := strings.ToUpper(word); slices.Contains(acronyms, upper) {
			split[i] = upper
		} else if word != "" {
			split[i] = upper[:1] + word[1:]
		}
	}
	return strings.Join(split, " ")
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
