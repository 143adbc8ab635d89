package node

import (
	"errors"
	"fmt"
	"net"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/wasmesh/wasmesh/test/cluster/certificates"
	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
)

// kubeletConfig differs from the defaults where a small shared machine, or one with cgroup v1, needs it. syncFrequency
// decides how soon pods see a changed ConfigMap: 1 to 4 s at this value, up to 74 s at the default. Images are never
// collected: there is nowhere to pull them from again.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://%s
authentication:
  anonymous: {enabled: false}
  x509: {clientCAFile: %s}
tlsCertFile: %s
tlsPrivateKeyFile: %s
clusterDomain: cluster.local
clusterDNS: [%s]
resolvConf: %s
podLogsDir: %s
volumePluginDir: %s
cgroupDriver: cgroupfs
cgroupRoot: %s
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: [none]
localStorageCapacityIsolation: false
syncFrequency: 5s
maxPods: 200
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%%
  nodefs.inodesFree: 1%%
  imagefs.available: 1%%
  imagefs.inodesFree: 1%%
`

func (n *node) startKubelet() error {
	serving, err := n.plane.Authority().Issue(certificates.Subject{
		CommonName: "system:node:" + Name, Organizations: []string{"system:nodes"},
		DNSNames: []string{Name}, Addresses: []net.IP{Address().AsSlice()},
	})
	if err != nil {
		return err
	}
	file := func(name string) string { return n.config.File("etc", name) }
	config := fmt.Sprintf(kubeletConfig, Containerd, n.config.File("keys", controlplane.CAFile), file("kubelet.crt"), file("kubelet.key"),
		dns, file("resolv.conf"), n.config.File("pods"), n.config.File("kubelet", "plugins"), CgroupRoot(n.config.Dir))
	err = errors.Join(
		makeCgroups(CgroupRoot(n.config.Dir)),
		n.writeKubeconfig("kubelet", "system:node:"+Name, "system:nodes"),
		controlplane.WriteFiles(n.config.File("etc"), map[string][]byte{
			"kubelet.crt": serving.Certificate, "kubelet.key": serving.Key, "kubelet.yaml": []byte(config),
			"resolv.conf": []byte("nameserver " + dns.String() + "\n"),
		}))
	if err != nil {
		return err
	}
	return n.run("kubelet", "--config="+file("kubelet.yaml"), "--kubeconfig="+file("kubelet.kubeconfig"),
		"--hostname-override="+Name, "--node-ip="+Address().String(), "--root-dir="+n.config.File("kubelet"),
		"--cert-dir="+n.config.File("kubelet", "pki"))
}

// startControllers starts the controller manager, without which there are no Deployments, EndpointSlices or default
// ServiceAccounts, and the scheduler.
func (n *node) startControllers() error {
	err := errors.Join(
		n.writeKubeconfig("kube-controller-manager", "system:kube-controller-manager"),
		n.writeKubeconfig("kube-scheduler", "system:kube-scheduler"))
	if err != nil {
		return err
	}
	key := func(name string) string { return n.config.File("keys", name) }
	err = n.run("kube-controller-manager", "--kubeconfig="+n.config.File("etc", "kube-controller-manager.kubeconfig"),
		"--leader-elect=false", "--use-service-account-credentials", "--root-ca-file="+key(controlplane.CAFile),
		"--service-account-private-key-file="+key(controlplane.ServiceAccountKeyFile),
		"--cluster-signing-cert-file="+key(controlplane.CAFile), "--cluster-signing-key-file="+key(controlplane.CAKeyFile),
		"--cert-dir="+n.config.File("etc"))
	if err != nil {
		return err
	}
	return n.run("kube-scheduler", "--kubeconfig="+n.config.File("etc", "kube-scheduler.kubeconfig"),
		"--leader-elect=false", "--cert-dir="+n.config.File("etc"))
}

func (n *node) startProxy() error {
	if err := n.writeKubeconfig("kube-proxy", "system:kube-proxy"); err != nil {
		return err
	}
	return n.run("kube-proxy", "--kubeconfig="+n.config.File("etc", "kube-proxy.kubeconfig"),
		"--hostname-override="+Name, "--proxy-mode=nftables", "--cluster-cidr="+podRange.String(),
		// The machine's own limit, which is not this namespace's to change.
		"--conntrack-max-per-core=0")
}

// writeKubeconfig gives a program an identity, in etc/<program>.kubeconfig.
func (n *node) writeKubeconfig(program, user string, groups ...string) error {
	client, err := n.plane.Client(user, groups...)
	if err != nil {
		return err
	}
	content, err := kubeconfig(client)
	if err != nil {
		return err
	}
	return controlplane.WriteFiles(n.config.File("etc"), map[string][]byte{program + ".kubeconfig": content})
}

func kubeconfig(client *rest.Config) ([]byte, error) {
	const name = "wasmesh-test"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: client.Host, CertificateAuthorityData: client.CAData}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: client.CertData, ClientKeyData: client.KeyData}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	content, err := clientcmd.Write(*file)
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	return content, nil
}
