using System.Text.Json;

namespace Moe.Plugins.GptOss;

/// <summary>What the answer must look like.</summary>
/// <param name="Name">The schema's name.</param>
/// <param name="Description">What it is; may be empty.</param>
/// <param name="Schema">The JSON schema.</param>
internal sealed record HarmonyFormat(string Name, string? Description, JsonElement Schema);
