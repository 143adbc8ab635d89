package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// repeatProblems finds what a container lists twice in a way that means something else when it is listed once. Deployments
// are made by server-side apply, which takes one entry of a key only (x-kubernetes-list-map-keys of the API), while
// ModelMesh, which updated them, could write more; the CRD of a runtime that is not ours may let more through. What means the
// same once is no problem: see resources.Deployment.
func repeatProblems(c *corev1.Container) []string {
	var problems []string
	for i, p := range c.Ports {
		for _, earlier := range c.Ports[:i] {
			if samePort(earlier, p) && !EqualPort(earlier, p) {
				problems = append(problems, fmt.Sprintf("port %d/%s is listed twice, and not alike: list it once",
					p.ContainerPort, cmp.Or(p.Protocol, corev1.ProtocolTCP)))
			}
		}
	}
	for i, v := range c.Env {
		again := slices.IndexFunc(c.Env[i+1:], func(later corev1.EnvVar) bool { return later.Name == v.Name })
		if again >= 0 && slices.ContainsFunc(c.Env[i+1:i+again+2], func(user corev1.EnvVar) bool { return refersTo(user.Value, v.Name) }) {
			problems = append(problems, fmt.Sprintf("environment variable %s is set twice, and its first value used before the second: "+
				"set it once", v.Name))
		}
	}
	for i, m := range c.VolumeMounts {
		if slices.ContainsFunc(c.VolumeMounts[:i], func(earlier corev1.VolumeMount) bool { return earlier.MountPath == m.MountPath }) {
			problems = append(problems, fmt.Sprintf("mountPath %s is listed twice: use another", m.MountPath))
		}
	}
	return problems
}

// samePort says that two entries are about one port, which is TCP where it says nothing.
func samePort(a, b corev1.ContainerPort) bool {
	return a.ContainerPort == b.ContainerPort && cmp.Or(a.Protocol, corev1.ProtocolTCP) == cmp.Or(b.Protocol, corev1.ProtocolTCP)
}

// EqualPort says that two entries say the same of one port.
func EqualPort(a, b corev1.ContainerPort) bool {
	a.Protocol = cmp.Or(a.Protocol, corev1.ProtocolTCP)
	b.Protocol = cmp.Or(b.Protocol, corev1.ProtocolTCP)
	return a == b
}

// refersTo says that a value has $(NAME), where $$ stands for a dollar.
func refersTo(value, name string) bool {
	return strings.Contains(strings.ReplaceAll(value, "$$", ""), "$("+name+")")
}
