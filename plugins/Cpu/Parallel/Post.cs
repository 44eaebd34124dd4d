namespace Moe.Plugins.Cpu;

/// <summary>What a rank brings to an exchange.</summary>
/// <param name="Call">What it calls for, which must be what the others call for.</param>
/// <param name="View">What the other ranks read.</param>
internal readonly record struct Post(MoeGroupCall Call, MoeTensorView View);
