namespace Moe.Plugins.Collectives;

/// <summary><c>ncclDataType_t</c>.</summary>
internal enum NcclType
{
    Int8 = 0,
    Float32 = 7,
    BFloat16 = 9,
}
