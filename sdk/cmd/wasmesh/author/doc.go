// Package author is what the command line does for those who write policies: start one from a template, build it with
// the toolchain of its language, hold it to the mesh's rules and to its scenarios, measure it, and wrap it in the
// ConfigMap that activates it. It works on files; a running mesh is not needed.
package author
