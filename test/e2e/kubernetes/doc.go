// Package kubernetes does in a real cluster what users do: install the chart, apply objects, ask models, swap policies,
// roll out, break things. Every test runs helm and kubectl as the documentation has them, in a namespace of its own that
// has a mesh. The cluster must be up, with our images in it: `make e2e` sees to that. Built with the tag cluster only.
package kubernetes
