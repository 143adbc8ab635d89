package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/wasmesh/wasmesh/test/cluster/certificates"
)

// Names of the files in Config.Dir/keys that other components read.
const (
	CAFile                = "ca.crt"
	CAKeyFile             = "ca.key"
	ServiceAccountKeyFile = "service-accounts.key"
)

// writeKeys makes every key that the API server is started with.
func (c *ControlPlane) writeKeys() error {
	authority, err := c.authority.Pair()
	if err != nil {
		return err
	}
	server, err := c.authority.Issue(certificates.Subject{
		CommonName: "kube-apiserver",
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		// Pods reach it by the first address of the range, which is the kubernetes Service's.
		Addresses: []net.IP{c.config.Address.AsSlice(), net.IPv4(127, 0, 0, 1), c.config.Services.Masked().Addr().Next().AsSlice()},
	})
	if err != nil {
		return err
	}
	kubelet, err := c.authority.Issue(certificates.Subject{
		CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"},
	})
	if err != nil {
		return err
	}
	tokens, err := certificates.NewKey()
	if err != nil {
		return err
	}
	return WriteFiles(c.path("keys"), map[string][]byte{
		CAFile: authority.Certificate, CAKeyFile: authority.Key,
		"apiserver.crt": server.Certificate, "apiserver.key": server.Key,
		"kubelet-client.crt": kubelet.Certificate, "kubelet-client.key": kubelet.Key,
		ServiceAccountKeyFile: tokens,
	})
}

// WriteFiles writes small files that only their owner may read.
func WriteFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
	}
	return nil
}

// etcdFlags has it not wait for the disk: what it stores ends with the cluster.
func etcdFlags(dir, client, peer string) []string {
	return []string{
		"--data-dir=" + dir,
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
		"--unsafe-no-fsync", "--log-level=warn",
	}
}

func (c *ControlPlane) apiServerFlags(etcd string) []string {
	key := func(name string) string { return c.path("keys", name) }
	return []string{
		"--etcd-servers=" + etcd,
		"--bind-address=" + c.config.Address.String(), "--secure-port=" + strconv.Itoa(c.port),
		"--advertise-address=" + c.config.Address.String(),
		"--service-cluster-ip-range=" + c.config.Services.String(),
		"--tls-cert-file=" + key("apiserver.crt"), "--tls-private-key-file=" + key("apiserver.key"),
		"--client-ca-file=" + key(CAFile),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key(ServiceAccountKeyFile),
		"--service-account-signing-key-file=" + key(ServiceAccountKeyFile),
		"--authorization-mode=Node,RBAC", "--allow-privileged=true",
		"--kubelet-client-certificate=" + key("kubelet-client.crt"), "--kubelet-client-key=" + key("kubelet-client.key"),
		"--kubelet-certificate-authority=" + key(CAFile), "--kubelet-preferred-address-types=InternalIP",
		"--profiling=false",
	}
}

// Loopback is where a control plane without a node listens.
func Loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// Services is the range of ClusterIPs that Kubernetes installers choose, too.
func Services() netip.Prefix { return netip.MustParsePrefix("10.96.0.0/16") }
