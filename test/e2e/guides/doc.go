// Package guides does what the guides say in a cluster of one's own: docs/kubernetes.md, and docs/migrate.md over a stand-in for
// ModelMesh; and it lives the life of a release beside KServe. All need a cluster in which nothing is installed, so what is
// there is uninstalled first, with a look at whether anybody loses an object by that. It has no code of its own; the cluster
// must be up, with our images in it: `make e2e` sees to that. Built with the tag cluster only, and run after
// test/e2e/kubernetes, whose release goes.
//
// Two figures are made here for people, and cost more than a test may: OBSERVE=5m is how long the figures of writes beside
// KServe are of, MODELS=1000 how many models the host holds whose memory is told.
package guides
