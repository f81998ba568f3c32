"""The messages of CRI that we use, from their field names and numbers. Source: k8s.io/cri-api, runtime/v1/api.proto.

A line a message: fields as `name=number:type`, without a type a string; `*` after it: repeated; `map`: string to string.
Enumerations are int32, which is the same on the wire. Fields that we don't know are skipped by the codec.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_PACKAGE = "runtime.v1"
_SCALARS = {"string": 9, "int32": 5, "int64": 3, "uint32": 13, "uint64": 4, "bool": 8, "bytes": 12}
_MESSAGE = 11

_TABLE = """
Int64Value value=1:int64
PodSandboxMetadata name=1 uid=2 namespace=3 attempt=4:uint32
NamespaceOption network=1:int32 pid=2:int32 ipc=3:int32 target_id=4
SecurityProfile profile_type=1:int32 localhost_ref=2
LinuxSandboxSecurityContext namespace_options=1:NamespaceOption privileged=6:bool seccomp=9:SecurityProfile
LinuxPodSandboxConfig cgroup_parent=1 security_context=2:LinuxSandboxSecurityContext sysctls=3:map
PodSandboxConfig metadata=1:PodSandboxMetadata hostname=2 log_directory=3 labels=6:map annotations=7:map \
 linux=8:LinuxPodSandboxConfig
RunPodSandboxRequest config=1:PodSandboxConfig
RunPodSandboxResponse pod_sandbox_id=1
StopPodSandboxRequest pod_sandbox_id=1
StopPodSandboxResponse
RemovePodSandboxRequest pod_sandbox_id=1
RemovePodSandboxResponse
PodSandboxStatusRequest pod_sandbox_id=1 verbose=2:bool
PodSandboxStatusResponse status=1:PodSandboxStatus info=2:map
PodSandboxStatus id=1 metadata=2:PodSandboxMetadata state=3:int32
ListPodSandboxRequest
ListPodSandboxResponse items=1:PodSandbox*
PodSandbox id=1 metadata=2:PodSandboxMetadata state=3:int32 labels=5:map
ImageSpec image=1
KeyValue key=1 value=2
Mount container_path=1 host_path=2 readonly=3:bool propagation=5:int32
ContainerMetadata name=1 attempt=2:uint32
LinuxContainerResources cpu_period=1:int64 cpu_quota=2:int64 cpu_shares=3:int64 memory_limit_in_bytes=4:int64 \
 oom_score_adj=5:int64
Capability add_capabilities=1:string* drop_capabilities=2:string*
LinuxContainerSecurityContext capabilities=1:Capability privileged=2:bool namespace_options=3:NamespaceOption \
 run_as_user=5:Int64Value run_as_username=6 readonly_rootfs=7:bool supplemental_groups=8:int64* no_new_privs=11:bool \
 run_as_group=12:Int64Value masked_paths=13:string* readonly_paths=14:string* seccomp=15:SecurityProfile
LinuxContainerConfig resources=1:LinuxContainerResources security_context=2:LinuxContainerSecurityContext
ContainerConfig metadata=1:ContainerMetadata image=2:ImageSpec command=3:string* args=4:string* working_dir=5 envs=6:KeyValue* \
 mounts=7:Mount* labels=9:map annotations=10:map log_path=11 stdin=12:bool stdin_once=13:bool tty=14:bool \
 linux=15:LinuxContainerConfig
CreateContainerRequest pod_sandbox_id=1 config=2:ContainerConfig sandbox_config=3:PodSandboxConfig
CreateContainerResponse container_id=1
StartContainerRequest container_id=1
StartContainerResponse
UpdateContainerResourcesRequest container_id=1 linux=2:LinuxContainerResources
UpdateContainerResourcesResponse
StopContainerRequest container_id=1 timeout=2:int64
StopContainerResponse
RemoveContainerRequest container_id=1
RemoveContainerResponse
ListContainersRequest
ListContainersResponse containers=1:Container*
Container id=1 pod_sandbox_id=2 metadata=3:ContainerMetadata image_ref=5 state=6:int32 labels=8:map image_id=10
ContainerStatusRequest container_id=1 verbose=2:bool
ContainerStatusResponse status=1:ContainerStatus info=2:map
ContainerStatus id=1 metadata=2:ContainerMetadata state=3:int32 created_at=4:int64 started_at=5:int64 finished_at=6:int64 \
 exit_code=7:int32 image=8:ImageSpec image_ref=9 reason=10 message=11 labels=12:map annotations=13:map log_path=15
ExecSyncRequest container_id=1 cmd=2:string* timeout=3:int64
ExecSyncResponse stdout=1:bytes stderr=2:bytes exit_code=3:int32
ExecRequest container_id=1 cmd=2:string* tty=3:bool stdin=4:bool stdout=5:bool stderr=6:bool
ExecResponse url=1
AttachRequest container_id=1 stdin=2:bool tty=3:bool stdout=4:bool stderr=5:bool
AttachResponse url=1
Image id=1 repo_tags=2:string* repo_digests=3:string* size=4:uint64 uid=5:Int64Value username=6
ListImagesRequest
ListImagesResponse images=1:Image*
ImageStatusRequest image=1:ImageSpec
ImageStatusResponse image=1:Image
AuthConfig username=1 password=2
PullImageRequest image=1:ImageSpec auth=2:AuthConfig
PullImageResponse image_ref=1
RemoveImageRequest image=1:ImageSpec
RemoveImageResponse
VersionRequest version=1
VersionResponse version=1 runtime_name=2 runtime_version=3 runtime_api_version=4
"""


def new(name: str, **fields: Any) -> Message:
    """A message by its name. Nested messages are given as mappings or messages."""
    return type_of(name)(**fields)


@cache
def type_of(name: str) -> type[Message]:
    """The class of a message. Raises KeyError for one that is not in the table."""
    found: type[Message] = message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    return found


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="runtime.proto", package=_PACKAGE, syntax="proto3")
    for line in _TABLE.split("\n"):
        if line:
            _describe(file.message_type.add(), *line.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _describe(message: descriptor_pb2.DescriptorProto, name: str, *fields: str) -> None:
    message.name = name
    for text in fields:
        field, _, rest = text.partition("=")
        number, _, kind = rest.partition(":")
        described = message.field.add(name=field, number=int(number), label=3 if kind == "map" or kind.endswith("*") else 1)
        kind = kind.rstrip("*") or "string"
        if kind == "map":
            kind = f"{name}.{_describe_entry(message, field)}"
        if kind in _SCALARS:
            described.type = _SCALARS[kind]
        else:
            described.type, described.type_name = _MESSAGE, f".{_PACKAGE}.{kind}"


def _describe_entry(message: descriptor_pb2.DescriptorProto, field: str) -> str:
    """The nested message that a map's entries are on the wire; its name."""
    name = f"{field.title().replace('_', '')}Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    for number, part in enumerate(("key", "value"), start=1):
        entry.field.add(name=part, number=number, label=1, type=_SCALARS["string"])
    return name
