// Alibaba Cloud's own clients of STS, which judge the simulator.
module phonemigration.dev/sts

go 1.26.0

require (
	github.com/AliyunContainerService/ack-ram-tool/pkg/credentials/provider v0.15.2
	github.com/alibabacloud-go/tea v1.5.3
	github.com/aliyun/credentials-go v1.4.14
)

require (
	github.com/alibabacloud-go/debug v1.0.1 // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/modern-go/concurrent v0.0.0-20180228061459-e0a39a4cb421 // indirect
	github.com/modern-go/reflect2 v1.0.2 // indirect
	golang.org/x/net v0.26.0 // indirect
	golang.org/x/sync v0.7.0 // indirect
	gopkg.in/ini.v1 v1.67.0 // indirect
)
