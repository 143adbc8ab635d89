package ingress

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// BenchmarkUnary compares calls through one host and through two with a call of the same server without them. Client, hosts
// and server share the process, so only the ratio means anything.
func BenchmarkUnary(b *testing.B) {
	target, _ := (&runtimeServer{}).start(b)
	m := newMesh(b, Config{}, target)
	two, _ := newRelay(b, Config{}, false, newPeerHost(b, Config{}, target))
	direct, err := grpc.NewClient(target.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer direct.Close()
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KiB", 1 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}} {
		request := &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{make([]byte, size.bytes)}}
		for name, conn := range map[string]*grpc.ClientConn{"direct": direct, "one": m.conn, "two": two.conn} {
			client := inference.NewGRPCInferenceServiceClient(conn)
			b.Run(size.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size.bytes))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := client.ModelInfer(context.Background(), request); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
