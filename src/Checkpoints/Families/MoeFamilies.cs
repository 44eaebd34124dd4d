using System.Reflection;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// All families that are read. Each is a property of this class in a file of its own, and is found by being one: to add a family is to
/// add a file.
/// </summary>
internal static partial class MoeFamilies
{
    private const string TextSuffix = "_text";

    /// <summary>All of them by name.</summary>
    public static IReadOnlyList<MoeFamily> All { get; } =
    [
        .. typeof(MoeFamilies)
            .GetProperties(BindingFlags.Static | BindingFlags.NonPublic)
            .Where(property => property.PropertyType == typeof(MoeFamily))
            .Select(property => (MoeFamily)property.GetValue(null)!)
            .OrderBy(family => family.Name, StringComparer.Ordinal),
    ];

    /// <summary>The family of the first model type that is known; null where none is.</summary>
    public static MoeFamily? Find(IEnumerable<string> modelTypes) =>
        modelTypes.Select(Find).FirstOrDefault(family => family is not null);

    /// <summary>The family of tensors without a config beside them: only GPT-OSS has its names.</summary>
    public static MoeFamily ByNames => GptOss;

    private static MoeFamily? Find(string modelType)
    {
        string plain = modelType.EndsWith(TextSuffix, StringComparison.Ordinal) ? modelType[..^TextSuffix.Length] : modelType;
        return All.FirstOrDefault(family => family.ModelTypes.Contains(plain, StringComparer.Ordinal));
    }
}
