package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
)

// corefile answers for the cluster, and says of every other name that there is none: the node has no way outside.
const corefile = `.:53 {
  errors
  log . {
    class error
  }
  health 127.0.0.1:8092
  ready 127.0.0.1:8191
  prometheus 127.0.0.1:9153
  kubernetes cluster.local in-addr.arpa {
    kubeconfig %s
    pods insecure
    ttl 5
  }
  template ANY ANY . {
    rcode NXDOMAIN
  }
  cache 5
  loadbalance
  reload
}
`

// startDNS runs CoreDNS on the node itself rather than in a pod: a program less to make an image of.
func (n *node) startDNS() error {
	err := errors.Join(
		n.writeKubeconfig("coredns", "coredns", "system:masters"),
		controlplane.WriteFiles(n.config.File("etc"), map[string][]byte{
			"Corefile": fmt.Appendf(nil, corefile, n.config.File("etc", "coredns.kubeconfig")),
		}))
	if err != nil {
		return err
	}
	return n.runIn(filepath.Dir(n.config.CoreDNS), filepath.Base(n.config.CoreDNS), "-conf", n.config.File("etc", "Corefile"))
}

// exposeDNS makes the Service by which pods know it, as in every cluster.
func exposeDNS(ctx context.Context, cluster kubernetes.Interface) error {
	const name, namespace = "kube-dns", metav1.NamespaceSystem
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"k8s-app": name}},
		Spec: corev1.ServiceSpec{ClusterIP: dns.String(), Ports: []corev1.ServicePort{
			{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
		}},
	}
	if _, err := cluster.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make Service of the DNS: %w", err)
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{Address().String()}}},
	}
	for _, port := range service.Spec.Ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &port.Name, Port: &port.Port, Protocol: &port.Protocol})
	}
	if _, err := cluster.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make EndpointSlice of the DNS: %w", err)
	}
	return nil
}

// awaitReady returns when the node takes pods, the accounts that they need are there, and names are answered by way of
// the Service.
func (n *node) awaitReady(ctx context.Context, admin *rest.Config) error {
	cluster, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := exposeDNS(ctx, cluster); err != nil {
		return err
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(dns.String(), "53"))
	}}
	for _, step := range []struct {
		name  string
		check func() error
	}{
		{"node", func() error { return nodeReady(ctx, cluster) }},
		{"default ServiceAccount", func() error {
			_, err := cluster.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err
		}},
		{"DNS", func() error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
			return err
		}},
	} {
		if err := n.await(ctx, step.check); err != nil {
			return fmt.Errorf("wait for %s: %w", step.name, err)
		}
	}
	return nil
}

func nodeReady(ctx context.Context, cluster kubernetes.Interface) error {
	node, err := cluster.CoreV1().Nodes().Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("node is not ready: %s", condition.Message)
		}
	}
	return errors.New("node has no status")
}
