namespace Moe.Plugins.Collectives;

/// <summary><c>ncclRedOp_t</c>.</summary>
internal enum NcclOperation
{
    Sum = 0,
}
