package resolve

import (
	"cmp"
	"slices"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Protocols whose relation matters: whoever serves grpc-v2 also serves v2, because the host translates REST.
const (
	protocolGRPCV2 = "grpc-v2"
	protocolV2     = "v2"
)

// Eligible answers the names of the runtimes that may hold the model, most preferred first, or the reason why there are
// none. Runtimes of other namespaces and those hidden by a namespaced one of their name do not count.
//
// An explicit name decides alone: the format is not looked at, as in ModelMesh. Otherwise the runtimes that list the
// format for automatic selection are ordered by its priority, higher first, then by name.
func Eligible(spec Spec, runtimes []Runtime) ([]string, *Reason) {
	candidates := slices.DeleteFunc(Visible(spec.Namespace, runtimes), func(r Runtime) bool { return !r.Usable() })
	if spec.Runtime != "" {
		for _, r := range candidates {
			if r.Name == spec.Runtime {
				return []string{r.Name}, nil
			}
		}
		return nil, &Reason{v1beta1.RuntimeNotRecognized, messageRuntimeNotRecognized}
	}

	type ranked struct {
		name     string
		priority int32
	}
	var found []ranked
	for _, r := range candidates {
		if priority, ok := autoSelects(r.Spec, spec.Format, spec.FormatVersion); ok && speaks(r.Spec, spec.Protocol) {
			found = append(found, ranked{r.Name, priority})
		}
	}
	if len(found) == 0 {
		return nil, &Reason{v1beta1.NoSupportingRuntime, messageNoSupportingRuntime}
	}
	slices.SortFunc(found, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.name, b.name))
	})
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.name
	}
	return names, nil
}

// autoSelects says whether the runtime offers the format for automatic selection, and with which priority: the highest
// of the entries that match. Versions must be equal as strings; a model without one takes any.
func autoSelects(s *v1alpha1.ServingRuntimeSpec, format, version string) (priority int32, ok bool) {
	for _, f := range s.SupportedModelFormats {
		if f.AutoSelect == nil || !*f.AutoSelect || f.Name != format {
			continue
		}
		if version != "" && value(f.Version) != version {
			continue
		}
		p := int32(0)
		if f.Priority != nil {
			p = *f.Priority
		}
		if !ok || p > priority {
			priority, ok = p, true
		}
	}
	return priority, ok
}

// speaks says whether clients of the runtime can use the protocol. A runtime that lists none speaks none by name.
func speaks(s *v1alpha1.ServingRuntimeSpec, protocol string) bool {
	if protocol == "" || slices.Contains(s.ProtocolVersions, protocol) {
		return true
	}
	return protocol == protocolV2 && slices.Contains(s.ProtocolVersions, protocolGRPCV2)
}
