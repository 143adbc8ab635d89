package resolve

import (
	"fmt"
	"slices"
	"strings"
)

// maxDeclared bounds how many names a Shortfall lists.
const maxDeclared = 20

// Shortfall says what a spec asks for and what the runtimes that its namespace can use declare, such as
// `asked for "sklern", declared: sklearn, xgboost`. It explains, in a sentence of our own, the Reason that Eligible gives
// in ModelMesh's words.
func Shortfall(spec Spec, runtimes []Runtime) string {
	usable := slices.DeleteFunc(Visible(spec.Namespace, runtimes), func(r Runtime) bool { return !r.Usable() })
	if spec.Runtime != "" {
		var names []string
		for _, r := range usable {
			names = append(names, r.Name)
		}
		return fmt.Sprintf("asked for the runtime %q, declared: %s", spec.Runtime, listed(names))
	}
	asked := fmt.Sprintf("asked for %q", spec.Format)
	if spec.FormatVersion != "" {
		asked += fmt.Sprintf(" version %q", spec.FormatVersion)
	}
	if spec.Protocol != "" {
		asked += fmt.Sprintf(" with protocol %q", spec.Protocol)
	}
	var declared []string
	for _, r := range usable {
		for _, f := range r.Spec.SupportedModelFormats {
			if f.AutoSelect == nil || !*f.AutoSelect {
				continue
			}
			name := f.Name
			if spec.FormatVersion != "" && f.Version != nil {
				name += " " + *f.Version
			}
			if spec.Protocol != "" && len(r.Spec.ProtocolVersions) > 0 {
				name += " with " + strings.Join(r.Spec.ProtocolVersions, "/")
			}
			declared = append(declared, name)
		}
	}
	return asked + ", declared: " + listed(declared)
}

// listed joins each name once, in order.
func listed(names []string) string {
	var distinct []string
	for _, name := range names {
		if !slices.Contains(distinct, name) {
			distinct = append(distinct, name)
		}
	}
	switch {
	case len(distinct) == 0:
		return "none"
	case len(distinct) > maxDeclared:
		return fmt.Sprintf("%s and %d more", strings.Join(distinct[:maxDeclared], ", "), len(distinct)-maxDeclared)
	}
	return strings.Join(distinct, ", ")
}
